"""Runs the command of the arguments, and returns its exit code: 0 success, 1 a run failed, 2 the user's mistake."""

import gc
import os
import sys
import threading
from collections.abc import Sequence

import typer
from typer.main import get_command

from ingest_ray.cli.app import app
from ingest_ray.cli.environment import asks_for_json
from ingest_ray.cli.output import (
    FAILURE,
    MISTAKE,
    SUCCESS,
    Output,
    open_output,
    print_traceback_when_debugging,
    report_error,
)
from ingest_ray.cli.pipes import outlive_readers
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.missing_packages import missing_package

# Typer carries its own copy of click in newer versions; its classes are found through what typer itself exports.
_ClickError = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

UNIT_THREADS = "unit-"  # names of the threads of `service.runs.launch`
INTERRUPTED = 130  # newer versions of Typer return this for a KeyboardInterrupt


def run_process(arguments: Sequence[str]) -> None:
    """Ends this process with the exit code of the command."""
    outlive_readers()
    code = run_command(arguments)
    if any(thread.name.startswith(UNIT_THREADS) for thread in threading.enumerate()):
        # A second interrupt: units that still run are left as they are, as if the process had been killed.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    gc.freeze()  # the interpreter's end looks for garbage three times: 0.15 s for objects that end with the process
    sys.exit(code)


def run_command(arguments: Sequence[str]) -> int:
    output = open_output(asks_for_json(lambda: get_command(app), arguments))
    try:
        return _run(output, arguments)
    finally:
        output.close()


def _run(output: Output, arguments: Sequence[str]) -> int:
    try:
        code = app(args=list(arguments) or ["--help"], prog_name="ingest-ray", standalone_mode=False, obj=output)
        sys.stdout.flush()
        if code == INTERRUPTED:
            return _report_interrupt(output)
        return code if isinstance(code, int) else SUCCESS
    except IngestError as error:
        return report_error(output, error)
    except typer.Exit as exit_:
        return exit_.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return _report_interrupt(output)
    except Exception as error:
        return _report_other(output, error)


def _report_interrupt(output: Output) -> int:
    output.write_error("E_RUN_INTERRUPTED", "stopped", None)
    return FAILURE


def _report_other(output: Output, error: Exception) -> int:
    print_traceback_when_debugging()
    if type(error).__name__ == "NoArgsIsHelpError":  # a group of commands without one
        print(str(error.format_message()), file=output.stream)  # type: ignore[attr-defined]
        return SUCCESS
    if isinstance(error, _ClickError):
        text = str(error.format_message())  # type: ignore[attr-defined]
        output.write_error(
            "E_BAD_INPUT", text[:1].lower() + text[1:].rstrip("."), "ingest-ray --help, or ingest-ray COMMAND --help"
        )
        return MISTAKE
    if isinstance(error, ModuleNotFoundError) and (missing := missing_package(error, "this command")) is not None:
        return report_error(output, missing)
    output.write_error("E_INTERNAL", f"{type(error).__name__}: {error}", "INGEST_DEBUG=1 shows where; please report it")
    return FAILURE
