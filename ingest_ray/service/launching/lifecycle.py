"""The steps that all launchers share: opening a run, taking it over in its process, the request to stop, closing it."""

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime

import sqlalchemy as sa

from ingest_ray import logs
from ingest_ray.catalog import run_channel, run_records
from ingest_ray.catalog.run_records import RunRecord
from ingest_ray.engine.run_order import Progress, RunOrder
from ingest_ray.process.failpoints import reached
from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import ConfigError, IngestError, RunActive
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunFault, RunState, RunSummary
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.admission import RunRequest, admit
from ingest_ray.service.runs.execution import RunReport, execute_launch
from ingest_ray.service.runs.record_keeping import failed, fault_of, finish_records, paused, start_records, started
from ingest_ray.service.runs.run_liveness import (
    INTERRUPTED,
    is_owned_here,
    is_run_alive,
    owner_of,
    this_owner,
    vouching_owner,
)
from ingest_ray.service.runs.store_retry import END_PATIENCE_S, retry_store
from ingest_ray.state.lease import TTL_S

WithinStart = Callable[[sa.Connection], None]


def open_run(
    installation: Installation,
    request: RunRequest,
    owner: str | None = None,
    run_id: str | None = None,
    within: WithinStart = lambda _: None,
) -> str:
    """Passes the gate and writes the record; returns the run's id.

    `owner` is the process that vouches for the run until another one takes it over; None: this process. `within` is called in the
    transaction that writes the record; where it raises, there is none.

    Raises:
        GateError, ConfigError, StateError: there is no record.
    """
    orders = admit(
        installation, request.endpoint_id, [request.unit_id], request.options, run_id=run_id, sink=request.sink
    )
    summaries = [started(order, datetime.now(UTC), request.requested_by) for order in orders]
    start_records(installation, summaries, orders, request.options, owner or vouching_owner(), within)
    return summaries[0].run_id


def await_earlier_process(installation: Installation, run_id: str) -> None:
    """Waits until an earlier process of the same run is known to be dead: on another host, death shows only as an expired lease.

    No other run waits, because the lease is this run's own. If the earlier process is still alive, it keeps the run.
    """
    deadline = time.monotonic() + 2 * TTL_S
    while time.monotonic() < deadline:
        with installation.catalog.read() as connection:
            record, line = run_records.find(connection, run_id), run_channel.find(connection, run_id)
            is_open = record is not None and record.summary.state is RunState.RUNNING
            if record is None or line is None or line.taken_at is None or not is_open:
                return
            if not is_run_alive(connection, installation, record):
                return
        time.sleep(1.0)


def execute_run(
    installation: Installation,
    run_id: str,
    observe: Callable[[Progress], None] = lambda _: None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> RunReport | None:
    """Takes over a run that has its record, and runs it to its end; None where the run has ended already.

    The run passes the gate again; a refusal becomes the run's error.

    Raises:
        RunActive: a living process has taken it over.
    """
    reached("job:before-take")
    owner = this_owner()
    taken = retry_store(lambda: _take_over(installation, run_id, owner), is_stopping)
    reached("job:after-take")
    if taken is None:
        return None
    summary, request = taken
    with (
        tracing.attached({} if tracing.current() else request.trace),
        tracing.span(
            "job", {tracing.RUN: run_id, tracing.ENDPOINT: request.endpoint_id, tracing.UNIT: request.unit_id}
        ),
    ):
        return _execute_taken(installation, summary, request, observe, is_stopping)


def _execute_taken(
    installation: Installation,
    summary: RunSummary,
    request: RunRequest,
    observe: Callable[[Progress], None],
    is_stopping: Callable[[], bool],
) -> RunReport:
    run_id = summary.run_id
    try:
        with logs.context(run=run_id, endpoint=request.endpoint_id, unit=request.unit_id):
            orders = retry_store(lambda: _admit_again(installation, run_id, request), is_stopping)
    except IngestError as error:
        end = [failed(summary, fault_of(error))]
        retry_store(lambda: finish_records(installation, end), limit_s=END_PATIENCE_S)
        raise
    return execute_launch(installation, orders, [summary], request.options, observe, is_stopping)


def _admit_again(installation: Installation, run_id: str, request: RunRequest) -> list[RunOrder]:
    return admit(
        installation, request.endpoint_id, [request.unit_id], request.options, run_id=run_id, sink=request.sink
    )


def _take_over(installation: Installation, run_id: str, owner: str) -> tuple[RunSummary, RunRequest] | None:
    """In one transaction, so that only one of two processes gets the run. The same owner may ask twice: the first answer may be lost."""
    with installation.catalog.begin(is_alone=True) as connection:
        record, line = run_records.find(connection, run_id), run_channel.find(connection, run_id)
        if record is None or line is None:
            raise ConfigError(f"there is no run '{run_id}'")
        if record.summary.state is not RunState.RUNNING:
            return None
        if line.taken_at is not None and record.owner != owner and is_run_alive(connection, installation, record):
            raise RunActive(f"run '{run_id}' is carried out by a living process")
        run_channel.take_over(connection, run_id)
        run_records.adopt(connection, run_id, owner)
    return record.summary, RunRequest.model_validate_json(line.request)


def fail_run(installation: Installation, run_id: str, fault: RunFault = INTERRUPTED) -> None:
    """Ends the record of a run whose process is known to be gone; a record that has an end keeps it."""
    with installation.catalog.begin(is_alone=True) as connection:
        record = run_records.find(connection, run_id)
        if record is not None and record.summary.state is RunState.RUNNING:
            run_records.finish(connection, failed(record.summary, fault))


def prepare_run(installation: Installation, run_id: str) -> RunSummary:
    """Makes this process the owner of a run until the process that is about to be started takes it over.

    A failed run is reopened and continues from its checkpoint. A run that succeeded, was paused, or has a living process
    stays as it is.

    Raises:
        RunActive: the unit has another run by now.
    """
    with installation.catalog.begin(is_alone=True) as connection:
        record, line = run_records.find(connection, run_id), run_channel.find(connection, run_id)
        if record is None or line is None:
            raise ConfigError(f"there is no run '{run_id}'")
        if record.summary.state in (RunState.SUCCEEDED, RunState.PAUSED):
            return record.summary
        if record.summary.state is RunState.FAILED:
            summary = _reopen(connection, installation, record.summary)
        elif line.taken_at is not None and is_run_alive(connection, installation, record):
            return record.summary
        else:
            summary = record.summary
        run_records.adopt(connection, run_id, vouching_owner())
        run_channel.release(connection, run_id)
    return summary


def vouch_for(installation: Installation, run_ids: Collection[str]) -> None:
    """Says again that this process is about to start a process for these runs; those that have one by now stay as they are."""
    with installation.catalog.begin() as connection:
        for run_id in run_ids:
            record = run_records.find(connection, run_id)
            if record is not None and is_owned_here(record) and owner_of(record).vouched_until is not None:
                run_records.replace_owner(connection, run_id, record.owner, vouching_owner())


def find_lost_runs(installation: Installation) -> list[RunRecord]:
    """Runs that wait for a process, and that no server vouches for any more."""
    with installation.catalog.read() as connection:
        return [
            record
            for record in run_records.running(connection)
            if owner_of(record).vouched_until is not None and not is_run_alive(connection, installation, record)
        ]


def adopt_run(installation: Installation, record: RunRecord) -> bool:
    """Makes this process vouch for a run that waits for a process; False where another one was quicker. A run that was stopped meanwhile is
    ended as paused, and False."""
    with installation.catalog.begin(is_alone=True) as connection:
        line = run_channel.find(connection, record.summary.run_id)
        if line is None or line.taken_at is not None:
            return False
        if line.stop_requested_at is not None:
            if run_records.replace_owner(connection, record.summary.run_id, record.owner, vouching_owner()):
                run_records.finish(connection, paused(record.summary))
            return False
        return run_records.replace_owner(connection, record.summary.run_id, record.owner, vouching_owner())


def end_dead_runs(installation: Installation, unit: UnitRef, sink_id: str | None = None) -> int:
    """Ends the records of runs of a unit whose process is gone; returns how many."""
    count = 0
    with installation.catalog.begin(is_alone=True) as connection:
        for record in run_records.running(connection, unit.endpoint_id):
            is_meant = record.summary.ref == unit and sink_id in (None, record.summary.sink_id)
            if is_meant and not is_run_alive(connection, installation, record):
                run_records.finish(connection, failed(record.summary, INTERRUPTED))
                count += 1
    return count


def _reopen(connection: sa.Connection, installation: Installation, mine: RunSummary) -> RunSummary:
    for other in run_records.running(connection, mine.endpoint_id):
        is_same = (other.summary.ref, other.summary.sink_id) == (mine.ref, mine.sink_id)
        if is_same and is_run_alive(connection, installation, other):
            raise RunActive(
                f"unit '{mine.ref}' has a live run: {other.summary.run_id}",
                hint="wait for it, or stop it first",
            )
    summary = mine.model_copy(update={"state": RunState.RUNNING, "error": None, "finished_at": None})
    run_records.reopen(connection, summary)
    return summary


def close_run(installation: Installation, run_id: str) -> RunSummary:
    """Ends the record of a run that has no process and will get none; a record that has an end keeps it.

    The state is PAUSED where a stop was requested or no process took the run over, else FAILED.
    """
    with installation.catalog.begin(is_alone=True) as connection:
        record, line = run_records.find(connection, run_id), run_channel.find(connection, run_id)
        if record is None or line is None:
            raise ConfigError(f"there is no run '{run_id}'")
        if record.summary.state is not RunState.RUNNING:
            return record.summary
        is_stopped = line.stop_requested_at is not None or line.taken_at is None
        summary = paused(record.summary) if is_stopped else failed(record.summary, INTERRUPTED)
        run_records.finish(connection, summary)
    return summary


def request_stop(installation: Installation, run_id: str, requested_by: str | None) -> None:
    with installation.catalog.begin() as connection:
        if run_records.find(connection, run_id) is None:
            raise ConfigError(f"there is no run '{run_id}'")
        run_channel.request_stop(connection, run_id, requested_by)


def find_request(installation: Installation, run_id: str) -> RunRequest:
    with installation.catalog.read() as connection:
        line = run_channel.find(connection, run_id)
    if line is None:
        raise ConfigError(f"there is no run '{run_id}'")
    return RunRequest.model_validate_json(line.request)


def read_run_state(installation: Installation, run_id: str) -> RunState:
    with installation.catalog.read() as connection:
        record = run_records.find(connection, run_id)
        if record is None:
            raise ConfigError(f"there is no run '{run_id}'")
        if record.summary.state is RunState.RUNNING and not is_run_alive(connection, installation, record):
            return RunState.FAILED
    return record.summary.state
