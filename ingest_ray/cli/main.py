"""From arguments to an exit code: 0 fine, 1 a run failed, 2 the user's mistake."""

import os
import sys
from collections.abc import Sequence

# Set before NumPy is loaded: its linear algebra, which is not used here, starts threads in every process (50 ms of CPU).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import typer

from ingest_ray.cli.app import app
from ingest_ray.cli.output import FAILED, FINE, MISTAKE, Frame, debug, open_frame, refuse_error
from ingest_ray.sdk.errors import IngestError

# Typer carries its own copy of click in newer versions; its classes are found through what typer itself exports.
_ClickError = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

INTERRUPTED = 130  # what newer versions of Typer make of a KeyboardInterrupt


def main() -> None:
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: Sequence[str]) -> int:
    frame = open_frame("--json" in arguments)
    try:
        return _run(frame, arguments)
    finally:
        frame.close()


def _run(frame: Frame, arguments: Sequence[str]) -> int:
    try:
        code = app(args=list(arguments), prog_name="ingest-ray", standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:
            return _stopped(frame)
        return code if isinstance(code, int) else FINE
    except IngestError as error:
        return refuse_error(frame, error)
    except typer.Exit as leaving:
        return leaving.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return _stopped(frame)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FINE
    except Exception as error:
        return _other(frame, error)


def _stopped(frame: Frame) -> int:
    frame.refuse("E_RUN_INTERRUPTED", "stopped", None)
    return FAILED


def _other(frame: Frame, error: Exception) -> int:
    debug()
    if isinstance(error, _ClickError):
        text = str(error.format_message())  # type: ignore[attr-defined]
        frame.refuse(
            "E_BAD_INPUT", text[:1].lower() + text[1:].rstrip("."), "ingest-ray --help, or ingest-ray COMMAND --help"
        )
        return MISTAKE
    frame.refuse("E_INTERNAL", f"{type(error).__name__}: {error}", "INGEST_DEBUG=1 shows where; please report it")
    return FAILED
