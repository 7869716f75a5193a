import sys

from ingest_ray.testing.atlassian.main import main

sys.exit(main())
