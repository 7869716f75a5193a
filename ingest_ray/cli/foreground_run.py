"""Runs at a terminal: progress on stderr, and Ctrl-C that finishes the commit under way."""

import gc
import getpass
import logging
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from ingest_ray import logs
from ingest_ray.cli.launch_progress import LaunchCounts, LaunchLines
from ingest_ray.cli.output import FAILURE, SUCCESS, Output
from ingest_ray.cli.progress import ComparisonLines, ProgressLines
from ingest_ray.cli.run_document import run_document
from ingest_ray.engine.run_order import Progress
from ingest_ray.process.exit_notice import announce
from ingest_ray.process.stop_signals import StopSignals, stop_on_signals
from ingest_ray.process.unused_pandas import leave_out_pandas
from ingest_ray.run import VerifyOptions
from ingest_ray.sdk.errors import ClusterUnavailable, ConfigError, IngestError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunState
from ingest_ray.service.copying.copy import CopyProject
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching import launched_runs
from ingest_ray.service.runs import execution, quarantine, verification
from ingest_ray.service.runs import remap as remapping
from ingest_ray.service.runs.admission import RunOptions
from ingest_ray.service.runs.execution import RunReport
from ingest_ray.service.upkeep.retention import sweep_when_due

log = logging.getLogger(__name__)

ENDED_BY_RAY = "the run was ended while it connected to ray or left it, as when a server of ray dies meanwhile"


def run_options(
    lower: str | None, upper: str | None, reconcile: bool, allow_deletes: bool, follow_s: float | None = None
) -> RunOptions:
    task = "ingest" if lower is None and upper is None else "backfill"
    return RunOptions(
        task=task,
        lower=lower,
        upper=upper,
        reconcile=reconcile,
        allow_deletes=allow_deletes,
        follow_s=follow_s,
    )


def refuse_with_detach(*, is_local: bool, parallel: int | None) -> None:
    """Raises `ConfigError` where an option has no meaning for runs that are only started."""
    if is_local:
        raise ConfigError("--detach and --local: give one of them")
    if parallel is not None:
        raise ConfigError(
            "--parallel: with --detach all runs are started", hint="serve.parallel bounds those of this machine"
        )


def run(
    output: Output,
    installation: Installation,
    endpoint_id: str,
    unit_ids: Sequence[str],
    options: RunOptions,
    parallel: int | None = None,
    *,
    is_local: bool = True,
) -> int:
    every = None if options.follow_s is None else str(options.follow_s)
    bounds = {"--from": options.lower, "--to": options.upper, "--every": every}
    arguments = [part for name, value in bounds.items() if value is not None for part in (name, value)]
    arguments += ["--follow"] if every is not None else []
    command = shlex.join(["ingest-ray", "run", endpoint_id, *unit_ids, *arguments])
    is_local = is_local or installation.settings.launcher == "in-process"
    with _interruptible(output, command) as stop, _show_launch() as watch:
        report = (execution.run if is_local else launched_runs.run_by_launcher)(
            installation,
            endpoint_id,
            unit_ids,
            options=options,
            requested_by=_user_name(),
            observe=watch.show,
            is_stopping=stop.is_requested,
            parallel=parallel,
            watch=watch,
        )
    _sweep_when_due(installation)
    return _write_report(output, report)


def detach(
    output: Output, installation: Installation, endpoint_id: str, unit_ids: Sequence[str], options: RunOptions
) -> int:
    """The JSON document has the runs as they were started, each with its id, or the error of a unit that was not."""
    from ingest_ray.cli.tables.run_report import show_detached

    found = launched_runs.start_in_background(installation, endpoint_id, unit_ids, options, _user_name())
    document = {
        "state": "RUNNING" if found.is_complete else "FAILED",
        "units": [summary.model_dump(mode="json") for summary in found.units],
    }
    output.write(document, lambda out: show_detached(found, out))
    return SUCCESS if found.is_complete else FAILURE


def _sweep_when_due(installation: Installation) -> None:
    """For installations without a server. What it cannot do now, a later run does: it changes no result of this one."""
    try:
        if installation.settings.retention.enabled:
            sweep_when_due(installation)
    except IngestError as error:
        log.warning("what is old could not be swept: %s", logs.scrub(error.message))


def copy(output: Output, installation: Installation, project: CopyProject, parallel: int | None) -> int:
    """Runs the tables of a copy. The JSON document is that of `run` with what was chosen under `copy`."""
    from ingest_ray.cli.tables.copy import show_copied, show_project

    units = [choice.unit_id for choice in project.choices]
    if not output.is_json:
        show_project(project, output.stream)
    command = f"INGEST_HOME={shlex.quote(installation.settings.home)} ingest-ray run {shlex.quote(project.endpoint_id)}"
    with _interruptible(output, command) as stop, _show_launch() as watch:
        report = execution.run(
            installation,
            project.endpoint_id,
            units,
            requested_by=_user_name(),
            observe=watch.show,
            is_stopping=stop.is_requested,
            parallel=parallel,
            watch=watch,
        )
    document = run_document(report) | {"copy": project.model_dump(mode="json")}
    output.write(document, lambda out: show_copied(report, project, out))
    return _exit_code(report)


def replay(output: Output, installation: Installation, endpoint_id: str, unit_id: str | None) -> int:
    command = shlex.join(["ingest-ray", "quarantine", "replay", endpoint_id, *([unit_id] if unit_id else [])])
    with _interruptible(output, command) as stop, _show_progress() as observe:
        report = quarantine.replay(installation, endpoint_id, unit_id, observe=observe, is_stopping=stop.is_requested)
    return _write_report(output, report)


def remap(output: Output, installation: Installation, unit: UnitRef) -> int:
    command = shlex.join(["ingest-ray", "remap", unit.endpoint_id, unit.unit_id])
    with _interruptible(output, command) as stop, _show_progress() as observe:
        report = remapping.remap(installation, unit, observe=observe, is_stopping=stop.is_requested)
    return _write_report(output, report)


def verify(
    output: Output, installation: Installation, endpoint_id: str, unit_ids: Sequence[str], options: VerifyOptions
) -> int:
    from ingest_ray.cli.tables.verification import show_verification

    command = shlex.join(["ingest-ray", "verify", endpoint_id, *unit_ids])
    notice = f"\nstopping after the block under way (once more: stop now)\nto go on: {command}\n"
    with stop_on_signals(notice) as stop:
        found = verification.verify(
            installation,
            endpoint_id,
            unit_ids,
            options=options,
            requested_by=_user_name(),
            observe=ComparisonLines().show,
            is_stopping=stop.is_requested,
        )
    output.write(found, lambda out: show_verification(found, out))
    return SUCCESS if found.state is RunState.SUCCEEDED else FAILURE


def _write_report(output: Output, report: RunReport) -> int:
    def show(stream: TextIO) -> None:
        from ingest_ray.cli.tables.run_report import show_report  # what draws tables takes 30 ms to import

        show_report(report, stream)

    output.write(run_document(report), show)
    return _exit_code(report)


def _exit_code(report: RunReport) -> int:
    return SUCCESS if report.state is RunState.SUCCEEDED else FAILURE


@contextmanager
def _show_launch() -> Iterator[LaunchCounts]:
    """Yields what observes the launch, and watches its units: bars at a terminal, plain lines elsewhere."""
    if sys.stderr.isatty():
        from ingest_ray.cli.progress_bars import LaunchBars, bar_display

        with bar_display() as display:
            yield LaunchBars(display)
    else:
        yield LaunchLines()


@contextmanager
def _show_progress() -> Iterator[Callable[[Progress], None]]:
    """Yields what observes a run."""
    if sys.stderr.isatty():
        from ingest_ray.cli.progress_bars import ProgressBars, bar_display

        with bar_display() as display:
            yield ProgressBars(display).show
    else:
        yield ProgressLines().show


def _user_name() -> str | None:
    """The user of this terminal, for the history."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return None


@contextmanager
def _interruptible(output: Output, command: str) -> Iterator[StopSignals]:
    """Lets a signal stop the run, and prints an error if the process is ended from outside. `command` continues the run."""
    leave_out_pandas()
    gc.freeze()  # what is imported by now is no garbage: the collector need not look through it again
    stopping = "stopping: the commit under way is finished first (once more: stop now)"
    notice = output.error_notice(ClusterUnavailable.code, ENDED_BY_RAY, f"to go on: {command}")
    with stop_on_signals(f"\n{stopping}\nto go on: {command}\n") as stop, announce(notice):
        yield stop
