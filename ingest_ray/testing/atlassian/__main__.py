"""`python -m ingest_ray.testing.atlassian jira|confluence ...`: the command line of the simulators."""

import sys

from ingest_ray.simulators.atlassian.command_line import main

if __name__ == "__main__":
    sys.exit(main())
