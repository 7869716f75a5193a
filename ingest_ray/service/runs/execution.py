"""Plans and runs units that passed the gate; the run record is written at the start and at the end."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Self

from pydantic import JsonValue

from ingest_ray import logs
from ingest_ray.engine.reports import PlanPreview, ReconcileReport, VerifyReport
from ingest_ray.engine.run_order import Progress, RunOrder
from ingest_ray.run import preview_plan, reconcile_unit
from ingest_ray.sdk.errors import IngestError, RunActive
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, RowCounts, RunState, RunSummary, SliceCounts
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.admission import RunOptions, admit_each, is_reconcilable
from ingest_ray.service.runs.launch import Launch
from ingest_ray.service.runs.parallel import parallel_units
from ingest_ray.service.runs.record_keeping import (
    failed,
    fault_of,
    finish_records,
    paused,
    reconciliation_summary,
    refused_summary,
    start_records,
    started,
)
from ingest_ray.service.runs.run_liveness import INTERRUPTED
from ingest_ray.service.runs.schedule_views import list_next_runs
from ingest_ray.service.runs.verification import verify_when_due
from ingest_ray.service.units.configs import find_configs
from ingest_ray.service.units.gate import gate
from ingest_ray.service.units.policies.cursor_choice import choice_text
from ingest_ray.service.units.policies.replay import no_replay
from ingest_ray.service.units.schema_drift import check_schema
from ingest_ray.service.units.table_maintenance import keep_up, maintenance_facts

log = logging.getLogger(__name__)


class LaunchWatch:
    """Follows the units of a launch; does nothing by itself. One thread at a time calls it."""

    def begin(self, units: int, parallel: int) -> None:
        """`units` begin, `parallel` of them side by side."""

    def end(self, summary: RunSummary) -> None:
        """One of them ended."""


class RunReport(Model):
    """One launch: totals, and the run of every unit. FAILED when any of them, or of the reconciliations, comparisons and
    maintenances, failed."""

    run_id: str
    state: RunState
    rows: RowCounts
    slices: SliceCounts
    seconds: float
    units: tuple[RunSummary, ...]
    reconciled: tuple[ReconcileReport, ...] = ()
    verified: tuple[VerifyReport, ...] = ()
    upkept: tuple[RunSummary, ...] = ()
    """The maintenance of tables after their runs."""

    def with_refused(self, refused: Sequence[RunSummary]) -> Self:
        """The same launch, with the units that were not admitted: they failed, and have no run id and no record."""
        if not refused:
            return self
        return self.model_copy(update={"state": RunState.FAILED, "units": (*self.units, *refused)})


def plan(installation: Installation, unit: UnitRef) -> PlanPreview:
    """What `run` would read now; reads no rows and writes nothing."""
    with logs.context(endpoint=unit.endpoint_id, unit=unit.unit_id):
        checked = check_schema(installation, gate(installation, unit))
        preview = preview_plan(checked.order)
        facts = dict(preview.facts)
        stored = find_configs(installation, [unit]).get(unit)
        if stored is not None and (chosen := choice_text(stored.config, checked.order.spec)):
            facts["chosen"] = chosen
        facts |= _schedule_facts(installation, unit)
    if (refused := no_replay(checked.order.spec)) is not None:
        facts["rejected rows"] = f"stay in quarantine and cannot be replayed, because {refused.reason}; {refused.hint}"
    if checked.changes:
        facts["schema changes"] = "; ".join(checked.changes)
    return preview.model_copy(update={"facts": facts})


def _schedule_facts(installation: Installation, unit: UnitRef) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for each in list_next_runs(installation, [unit.endpoint_id]):
        if (each.endpoint_id, each.unit_id) == (unit.endpoint_id, unit.unit_id):
            due = each.next_due_at
            when = f"held by {each.held_by}" if due is None else datetime.fromtimestamp(due, UTC).isoformat()
            found[f"next {each.task}"] = f"{when} ({each.schedule})"
    return found


def run(
    installation: Installation,
    endpoint_id: str,
    unit_ids: Sequence[str] = (),
    *,
    options: RunOptions | None = None,
    requested_by: str | None = None,
    observe: Callable[[Progress], None] = lambda _: None,
    is_stopping: Callable[[], bool] = lambda: False,
    parallel: int | None = None,
    watch: LaunchWatch | None = None,
) -> RunReport:
    """Runs units of one endpoint, all enabled ones by default. A unit that may not run fails by itself, without a record.

    `parallel`: how many run side by side; None: as many as there are cores, and as the source's connections allow.

    Raises:
        GateError, ConfigError, StateError: nothing ran, and there is no record.
    """
    options = options or RunOptions()
    admission = admit_each(installation, endpoint_id, unit_ids, options)
    orders = admission.orders
    parallel = parallel_units(orders, parallel)
    watch = watch or LaunchWatch()
    watch.begin(len(orders), parallel)
    began = datetime.now(UTC)
    summaries = [started(order, began, requested_by) for order in orders]
    start_records(installation, summaries, orders, options)
    report = execute_launch(installation, orders, summaries, options, observe, is_stopping, parallel, watch)
    return report.with_refused([refused_summary(found.unit, found.error) for found in admission.refused])


def execute_launch(
    installation: Installation,
    orders: Sequence[RunOrder],
    summaries: Sequence[RunSummary],
    options: RunOptions,
    observe: Callable[[Progress], None],
    is_stopping: Callable[[], bool],
    parallel: int = 1,
    watch: LaunchWatch | None = None,
) -> RunReport:
    """Runs units whose records are written, and ends the records."""
    began = datetime.now(UTC)
    on_end = (watch or LaunchWatch()).end
    launch = Launch(installation, orders, summaries, observe, is_stopping, parallel, on_end)
    try:
        launch.run()
    except BaseException:
        launch.end_all(lambda summary: failed(summary, INTERRUPTED))
        raise
    launch.end_all(paused)
    finished = list(launch.summaries.values())
    reconciled = []
    done = [launch.orders[s.run_id] for s in finished if s.state is RunState.SUCCEEDED]
    if options.reconcile:
        wanted = [order for order in done if is_reconcilable(order)]
        reconciled = [_reconcile(installation, order, options) for order in wanted if not is_stopping()]
    verified = _verify_due(installation, launch, finished, is_stopping)
    upkept = [_keep_up(installation, order, options) for order in done if options.upkeep and not is_stopping()]
    upkept_now = [summary for summary in upkept if summary is not None]
    return report_of(finished, reconciled, verified, (datetime.now(UTC) - began).total_seconds(), upkept_now)


def _verify_due(
    installation: Installation, launch: "Launch", finished: Sequence[RunSummary], is_stopping: Callable[[], bool]
) -> list[VerifyReport]:
    """Compares the units whose policy wants a comparison now, after their run has succeeded."""
    found = [
        verify_when_due(installation, launch.orders[summary.run_id], summary.requested_by, is_stopping)
        for summary in finished
        if summary.state is RunState.SUCCEEDED and not is_stopping()
    ]
    return [report for report in found if report is not None]


def _reconcile(installation: Installation, order: RunOrder, options: RunOptions) -> ReconcileReport:
    """Reconciles one unit; the reconciliation has a record of its own, like every run."""
    order = order.model_copy(update={"run_id": f"{order.run_id}-reconcile"})
    begun = started(order, datetime.now(UTC)).model_copy(update={"task": "reconcile"})
    start_records(installation, [begun], [order], options)
    try:
        found = reconcile_unit(order, options.allow_deletes)
    except IngestError as error:
        found = ReconcileReport(
            run_id=order.run_id,
            endpoint_id=begun.endpoint_id,
            unit_id=begun.unit_id,
            sink_id=begun.sink_id,
            state=RunState.FAILED,
            error=fault_of(error),
        )
    except BaseException:
        finish_records(installation, [failed(begun, INTERRUPTED)])
        raise
    finish_records(installation, [reconciliation_summary(begun, found)])
    return found


def _keep_up(installation: Installation, order: RunOrder, options: RunOptions) -> RunSummary | None:
    """Maintains the tables of one unit, under a record of its own, for which its next run waits. None where that run was quicker: the
    next time of the schedule maintains them."""
    order = order.model_copy(update={"run_id": f"{order.run_id}-upkeep"})
    begun = started(order, datetime.now(UTC)).model_copy(update={"task": "upkeep"})
    try:
        start_records(installation, [begun], [order], options)
    except RunActive as error:
        log.warning("the tables of unit '%s' are not maintained now: %s", order.ref, error.message)
        return None
    try:
        facts = maintenance_facts(keep_up(order))
        ended = begun.model_copy(update={"state": RunState.SUCCEEDED, "facts": facts, "finished_at": datetime.now(UTC)})
    except IngestError as error:
        log.warning("the tables of unit '%s' could not be maintained: %s", order.ref, logs.scrub(error.message))
        ended = failed(begun, fault_of(error))
    except BaseException:
        finish_records(installation, [failed(begun, INTERRUPTED)])
        raise
    finish_records(installation, [ended])
    return ended


def report_of(
    summaries: Sequence[RunSummary],
    reconciled: Sequence[ReconcileReport],
    verified: Sequence[VerifyReport],
    seconds: float,
    upkept: Sequence[RunSummary] = (),
) -> RunReport:
    rows = RowCounts()
    for summary in summaries:
        rows = rows.plus(summary.rows)
    slices = {name: sum(getattr(s.slices, name) for s in summaries) for name in SliceCounts.model_fields}
    states = [summary.state for summary in summaries]
    states += [found.state for found in reconciled] + [found.state for found in verified]
    states += [found.state for found in upkept]
    worst = next((state for state in (RunState.FAILED, RunState.PAUSED) if state in states), RunState.SUCCEEDED)
    ids = [summary.run_id for summary in summaries]
    run_id = ids[0] if len(ids) == 1 else ids[0].rpartition("-")[0] if ids else ""
    return RunReport(
        run_id=run_id,
        state=worst,
        rows=rows,
        slices=SliceCounts(**slices),
        seconds=round(seconds, 3),
        units=tuple(summaries),
        reconciled=tuple(reconciled),
        verified=tuple(verified),
        upkept=tuple(upkept),
    )
