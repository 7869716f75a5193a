"""The entry point. It imports the commands under a guard: Ctrl-C while they are imported, which takes a part of a second, ends quietly."""

import sys
from collections.abc import Sequence

from ingest_ray.process.tuning import tune_process

STOPPED = 1  # the exit code of a run that was stopped


def main() -> None:
    tune_process()
    try:
        from ingest_ray.cli.command_run import run_process

        run_process(sys.argv[1:])
    except KeyboardInterrupt:
        if "--json" in sys.argv:
            print('{"error": {"code": "E_RUN_INTERRUPTED", "message": "stopped", "hint": null}}')
        else:
            print("error: stopped [E_RUN_INTERRUPTED]", file=sys.stderr)
        sys.exit(STOPPED)


def run_command(arguments: Sequence[str]) -> int:
    """Runs a command in this process, and returns its exit code."""
    from ingest_ray.cli.command_run import run_command as run

    return run(arguments)
