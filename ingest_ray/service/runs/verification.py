"""`verify` as a use case: the gate, the comparison of each unit, and a record of it in the history."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from pydantic import JsonValue

from ingest_ray.catalog import accepted_schema, comparisons
from ingest_ray.engine.reports import ComparisonProgress, VerifyReport
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.run import VerifyOptions, verify_unit
from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import IngestError, RunInterrupted
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, RowCounts, RunState, RunSummary
from ingest_ray.service.installation import Installation
from ingest_ray.service.lineage.emission import emit_comparison, end_kind
from ingest_ray.service.runs.admission import admit_comparison
from ingest_ray.service.runs.comparison_record import ComparisonRecord, await_turn, finish, open_comparison
from ingest_ray.service.runs.record_keeping import failed, fault_of, started
from ingest_ray.service.units.schema_drift import check_schema

log = logging.getLogger(__name__)
__all__ = ["Verification", "admit_comparison", "start_comparison", "verify", "verify_admitted", "verify_when_due"]

MOST_AT_ONCE = 2  # each has up to half a gigabyte of memory, in the server's own process
_UNDER_WAY: set[threading.Thread] = set()
_ENDING = threading.Event()
_TURNS = threading.BoundedSemaphore(MOST_AT_ONCE)

RECORDED = {
    "compared",
    "rows_at_source",
    "rows_in_sink",
    "missing",
    "surplus",
    "different",
    "doubled",
    "newer",
    "repaired",
    "erased",
    "remaining",
}


class Verification(Model):
    """One launch of `verify`. FAILED where any unit differs, or could not be compared; PAUSED where it was stopped."""

    state: RunState
    units: tuple[VerifyReport, ...]
    seconds: float


def verify(
    installation: Installation,
    endpoint_id: str,
    unit_ids: Sequence[str] = (),
    *,
    options: VerifyOptions | None = None,
    requested_by: str | None = None,
    observe: Callable[[UnitRef, ComparisonProgress], None] = lambda unit, progress: None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Verification:
    """Compares units with their sinks, all enabled ones by default. Every unit must pass the gate before the first one begins.

    One of several units that cannot be compared, because it has no key for example, fails by itself.

    Raises:
        GateError, ConfigError, StateError: a unit does not pass the gate, or the only one cannot be compared.
    """
    options, began = options or VerifyOptions(), datetime.now(UTC)
    reports = []
    orders = admit_comparison(installation, endpoint_id, unit_ids)
    for order in orders:
        if is_stopping():
            break
        try:
            reports.append(verify_admitted(installation, order, options, requested_by, observe, is_stopping))
        except IngestError as error:  # it has its record
            if len(orders) == 1:
                raise
            reports.append(_failed_report(order, error))
    states = [report.state for report in reports]
    worst = next((state for state in (RunState.FAILED, RunState.PAUSED) if state in states), RunState.SUCCEEDED)
    return Verification(
        state=worst, units=tuple(reports), seconds=round((datetime.now(UTC) - began).total_seconds(), 3)
    )


def verify_when_due(
    installation: Installation, order: RunOrder, requested_by: str | None, is_stopping: Callable[[], bool]
) -> VerifyReport | None:
    """Compares a unit after its run, where `policy.verify_every` says so and its last comparison is older; None: not now."""
    every_s = order.spec.policy.verify_every
    if not every_s or order.task != "ingest":
        return None
    with installation.catalog.read() as connection:
        last = comparisons.last_began(connection, order.ref, order.spec.config.sink_id)
    if last is not None and datetime.now(UTC).timestamp() - datetime.fromisoformat(last).timestamp() < every_s:
        return None
    options = VerifyOptions(with_values=order.spec.policy.verify_rows and not order.spec.is_cdm)
    own = order.model_copy(update={"run_id": f"{order.run_id}-verify"})
    try:
        report = verify_admitted(installation, own, options, requested_by, lambda unit, progress: None, is_stopping)
    except IngestError as error:  # recorded; the run itself has succeeded
        log.warning("unit '%s' could not be compared with its sink: %s", order.ref, error.message)
        return None
    if report.error is not None:
        log.warning("%s", report.error.message)
    return report


def verify_admitted(
    installation: Installation,
    order: RunOrder,
    options: VerifyOptions,
    requested_by: str | None = None,
    observe: Callable[[UnitRef, ComparisonProgress], None] = lambda unit, progress: None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> VerifyReport:
    """Compares one unit that has passed the gate, and records the result. A mistake of the user is raised; what fails on the way is in
    the report."""
    begun = _begun(order, requested_by)
    emit_comparison(order, "START")
    ids = {tracing.RUN: order.run_id, tracing.ENDPOINT: order.ref.endpoint_id, tracing.UNIT: order.ref.unit_id}
    with (
        tracing.span("verify", ids) as span,
        ComparisonRecord(installation, begun, lambda progress: observe(order.ref, progress), is_stopping) as record,
    ):
        try:
            checked = check_schema(installation, order).order
            with installation.catalog.read() as connection:
                landed = accepted_schema.find(connection, order.ref, order.spec.config.sink_id)
            report = verify_unit(checked, options, record.observe, record.is_stopping, landed)
        except IngestError as error:
            finish(installation, failed(begun, fault_of(error)))
            emit_comparison(order, "FAIL", _failed_report(order, error))
            if error.is_user_mistake:
                raise
            span.fail(error.code)
            return _failed_report(order, error)
        finish(installation, _summary(begun, report))
        emit_comparison(order, end_kind(report.state), report)
        if report.error is not None:
            span.fail(report.error.code)
    return report


def start_comparison(
    installation: Installation,
    unit: UnitRef,
    options: VerifyOptions,
    requested_by: str | None = None,
    within: Callable[[sa.Connection], None] = lambda _: None,
) -> str:
    """Compares a unit in a thread of this process; returns the id of its record, which is there from now on. Two comparisons go on at
    once, others wait. `within` is called in the transaction that writes the record. The end of the process breaks comparisons off: the next one of the unit goes on after its last block.

    Raises:
        GateError, ConfigError, StateError: there is no record.
    """
    (order,) = admit_comparison(installation, unit.endpoint_id, [unit.unit_id])
    begun = _begun(order, requested_by)
    open_comparison(installation, begun, within)
    work = threading.Thread(
        target=_verify_in_turn,
        args=(installation, order, options, begun),
        name=f"verify-{order.run_id}",
        daemon=True,
    )
    _UNDER_WAY.add(work)
    work.start()
    return order.run_id


def compare_in_turn(
    installation: Installation,
    unit: UnitRef,
    requested_by: str | None = None,
    observe: Callable[[], None] = lambda: None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> VerifyReport:
    """Compares a unit as its policy says, in this thread; of one process, two go on at once, and others wait. `observe` is called now and then.

    Raises:
        GateError, ConfigError, StateError: there is no record.
    """
    (order,) = admit_comparison(installation, unit.endpoint_id, [unit.unit_id])
    options = VerifyOptions(with_values=order.spec.policy.verify_rows and not order.spec.is_cdm)
    begun = _begun(order, requested_by)
    open_comparison(installation, begun)

    def stops() -> bool:
        observe()
        return is_stopping()

    if not await_turn(installation, begun, _TURNS, stops):
        return _failed_report(order, RunInterrupted("stopped before it began")).model_copy(
            update={"state": RunState.PAUSED}
        )
    try:
        return verify_admitted(installation, order, options, requested_by, lambda _, progress: observe(), is_stopping)
    finally:
        _TURNS.release()


def end_comparisons(timeout_s: float = 20.0) -> None:
    """Ends those that `start_comparison` started, each after the block under way: for a server that stops."""
    _ENDING.set()
    deadline = time.monotonic() + timeout_s
    for work in list(_UNDER_WAY):
        work.join(max(0.0, deadline - time.monotonic()))
    _ENDING.clear()


def _verify_in_turn(installation: Installation, order: RunOrder, options: VerifyOptions, begun: RunSummary) -> None:
    try:
        if not await_turn(installation, begun, _TURNS, _ENDING.is_set):
            return
        try:
            verify_admitted(
                installation, order, options, begun.requested_by, lambda unit, progress: None, _ENDING.is_set
            )
        finally:
            _TURNS.release()
    except IngestError as error:  # the record has the error
        log.warning("comparison %s failed: %s [%s]", order.run_id, error.message, error.code)
    finally:
        _UNDER_WAY.discard(threading.current_thread())


def _begun(order: RunOrder, requested_by: str | None) -> RunSummary:
    return started(order, datetime.now(UTC), requested_by).model_copy(update={"task": "verify"})


def _failed_report(order: RunOrder, error: IngestError) -> VerifyReport:
    return VerifyReport(
        run_id=order.run_id,
        endpoint_id=order.ref.endpoint_id,
        unit_id=order.ref.unit_id,
        sink_id=order.spec.config.sink_id,
        state=RunState.FAILED,
        error=fault_of(error),
    )


def _summary(begun: RunSummary, report: VerifyReport) -> RunSummary:
    """Counts only: the history has no keys."""
    facts: dict[str, JsonValue] = report.model_dump(mode="json", include=RECORDED, exclude_none=True)
    update = {
        "state": report.state,
        "facts": facts,
        "rows": RowCounts(read=report.rows_at_source, committed=report.repaired or 0),
        "seconds": report.seconds,
        "error": report.error,
        "finished_at": datetime.now(UTC),
    }
    return begun.model_copy(update=update)
