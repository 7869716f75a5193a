"""`ingest-ray`: the command line. It translates, and decides nothing."""

import sys


def main() -> None:
    from ingest_ray.cli.door import run_command  # so that importing the package costs nothing

    sys.exit(run_command(sys.argv[1:]))
