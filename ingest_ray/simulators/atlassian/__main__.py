import sys

from ingest_ray.simulators.atlassian.command_line import main

sys.exit(main())
