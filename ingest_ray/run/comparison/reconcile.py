"""`run --reconcile`: compares the keys of a unit with those in its sink, reads what is missing, and erases what is gone.

A row in the sink was at the source once; if a complete scan that began later does not have its key, and the source proves that the
row does not exist, the row was deleted.
"""

import time

from ingest_ray.core.messages import Fault
from ingest_ray.engine.comparison.compare import Differences
from ingest_ray.engine.reports import ReconcileReport
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_layout import unit_key_of
from ingest_ray.kv import open_state
from ingest_ray.logs import context
from ingest_ray.run.comparison.opened import OpenComparison, open_comparison
from ingest_ray.run.comparison.repair import erase_surplus_rows, repair_lost_rows
from ingest_ray.sdk.errors import ConfigError, DeletesRefused, IngestError, RunActive
from ingest_ray.sdk.types import RunFault, RunState
from ingest_ray.state import read_states
from ingest_ray.state.lease import describe, is_live


def reconcile_unit(order: RunOrder, allow_all: bool = False) -> ReconcileReport:
    """`allow_all`: a person consented to exceed `policy.max_delete_fraction`.

    Raises:
        RunActive: the unit has a live run.
    """
    started = time.monotonic()
    with context(run=order.run_id, endpoint=order.spec.endpoint.endpoint_id, unit=order.spec.unit_id):
        _refuse_live_run(order)
        try:
            report = _reconcile(order, allow_all)
        except IngestError as error:
            fault = Fault.of(error)
            failure = RunFault(code=fault.code, message=fault.message, hint=fault.hint)
            report = _report(order, RunState.FAILED).model_copy(update={"error": failure})
    return report.model_copy(update={"seconds": round(time.monotonic() - started, 3)})


def _refuse_live_run(order: RunOrder) -> None:
    lease = read_states(open_state(order.settings), unit_key_of(order)).lease
    if lease is not None and is_live(lease):
        raise RunActive(f"unit '{order.ref}' has a live run: {describe(lease)}", hint="wait for it, or stop it first")


def _reconcile(order: RunOrder, allow_all: bool) -> ReconcileReport:
    if not order.spec.write_mode.merges:
        raise ConfigError(
            f"unit '{order.spec.unit_id}' does not upsert, so its deletes cannot be found",
            hint="set policy.write to upsert with a key; a replacement has no deleted rows anyway",
        )
    with open_comparison(order, with_values=False) as opened:
        found = opened.compare(order, lambda progress: None, lambda: False)
        return _mend(order, opened, found, allow_all)


def _mend(order: RunOrder, opened: OpenComparison, found: Differences, allow_all: bool) -> ReconcileReport:
    counts: dict[str, object] = {
        "keys_at_source": found.rows_at_source,
        "keys_in_sink": found.rows_in_sink,
        "missing_in_sink": found.missing,
        "missing_at_source": found.surplus,
        "notes": tuple(opened.rows.source_notes()),
    }
    report = _report(order, RunState.SUCCEEDED).model_copy(update=counts)
    if found.missing and opened.rows.can_look_up:
        summary = repair_lost_rows(order, opened.spool, ("missing",), lambda: False)
        if summary is not None:
            report = report.model_copy(update={"repaired": summary.rows.committed})
            if summary.error is not None:
                return report.model_copy(update={"state": RunState.FAILED, "error": summary.error})
    try:
        erased = erase_surplus_rows(
            order,
            opened.rows,
            opened.spool,
            lambda: opened.compare(order, lambda progress: None, lambda: False),
            in_sink=found.rows_in_sink,
            allow_all=allow_all,
        )
    except DeletesRefused as error:
        error.hint = "; ".join([*opened.rows.source_notes(), error.hint or ""])
        raise
    return report.model_copy(update={"erased": erased})


def _report(order: RunOrder, state: RunState) -> ReconcileReport:
    return ReconcileReport(
        run_id=order.run_id,
        endpoint_id=order.spec.endpoint.endpoint_id,
        unit_id=order.spec.unit_id,
        sink_id=order.spec.config.sink_id,
        state=state,
        how=order.spec.deletes,
    )
