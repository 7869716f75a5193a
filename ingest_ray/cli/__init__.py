"""`ingest-ray`: the command line. It translates, and decides nothing."""

import os
import sys


def main() -> None:
    # Before anything loads NumPy: its linear algebra, which nothing here uses, starts threads in every process (50 ms of CPU).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from ingest_ray.cli.door import run_command  # so that importing the package costs nothing

    sys.exit(run_command(sys.argv[1:]))
