"""Plans and runs units that passed the gate; the run record is written at the start and at the end."""

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Self

from ingest_ray import logs
from ingest_ray.engine.reports import PlanPreview, ReconcileReport
from ingest_ray.engine.run_order import Progress, RunOrder
from ingest_ray.run import RunStopped, preview_plan, reconcile_unit, retry_unavailable, run_units
from ingest_ray.sdk.errors import IngestError, SourceUnavailable
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.sessions import cached_sessions
from ingest_ray.sdk.types import Model, RowCounts, RunState, RunSummary, SliceCounts
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.admission import RunOptions, admit_each, is_reconcilable
from ingest_ray.service.runs.record_keeping import (
    ended,
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
from ingest_ray.service.runs.run_observer import RunObserver
from ingest_ray.service.units.configs import find_configs
from ingest_ray.service.units.gate import gate
from ingest_ray.service.units.policies.cursor_choice import choice_text
from ingest_ray.service.units.schema_drift import SchemaCheck, accept_schema, check_schema

log = logging.getLogger(__name__)


class RunReport(Model):
    """One launch: totals, and the run of every unit. FAILED when any of them, or of the reconciliations, failed."""

    run_id: str
    state: RunState
    rows: RowCounts
    slices: SliceCounts
    seconds: float
    units: tuple[RunSummary, ...]
    reconciled: tuple[ReconcileReport, ...] = ()

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
    if checked.changes:
        facts["schema changes"] = "; ".join(checked.changes)
    return preview.model_copy(update={"facts": facts})


def run(
    installation: Installation,
    endpoint_id: str,
    unit_ids: Sequence[str] = (),
    *,
    options: RunOptions | None = None,
    requested_by: str | None = None,
    observe: Callable[[Progress], None] = lambda _: None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> RunReport:
    """Runs units of one endpoint, all enabled ones by default. A unit that may not run fails by itself, without a record.

    Raises:
        GateError, ConfigError, StateError: nothing ran, and there is no record.
    """
    options = options or RunOptions()
    admission = admit_each(installation, endpoint_id, unit_ids, options)
    orders = admission.orders
    began = datetime.now(UTC)
    summaries = [started(order, began, requested_by) for order in orders]
    start_records(installation, summaries, orders, options)
    report = execute_launch(installation, orders, summaries, options, observe, is_stopping)
    return report.with_refused([refused_summary(found.unit, found.error) for found in admission.refused])


def execute_launch(
    installation: Installation,
    orders: Sequence[RunOrder],
    summaries: Sequence[RunSummary],
    options: RunOptions,
    observe: Callable[[Progress], None],
    is_stopping: Callable[[], bool],
) -> RunReport:
    """Runs units whose records are written, and ends the records."""
    began = datetime.now(UTC)
    launch = Launch(installation, orders, summaries, RunObserver(installation, observe, is_stopping))
    try:
        launch.run()
    except BaseException:
        launch.end_all(lambda summary: failed(summary, INTERRUPTED))
        raise
    launch.end_all(paused)
    finished = list(launch.summaries.values())
    reconciled = []
    if options.reconcile:
        done = [launch.orders[s.run_id] for s in finished if s.state is RunState.SUCCEEDED]
        wanted = [order for order in done if is_reconcilable(order)]
        reconciled = [_reconcile(installation, order, options) for order in wanted if not is_stopping()]
    return report_of(finished, reconciled, (datetime.now(UTC) - began).total_seconds())


class Launch:
    """Runs the units of one launch one after the other, and ends the record of each with its run.

    `summaries` holds the state of each run at every moment.
    """

    def __init__(
        self,
        installation: Installation,
        orders: Sequence[RunOrder],
        summaries: Sequence[RunSummary],
        observer: RunObserver,
    ) -> None:
        self.orders = {order.run_id: order for order in orders}
        self.summaries = {summary.run_id: summary for summary in summaries}
        self._installation = installation
        self._observer = observer
        self._schema_changes: dict[str, tuple[str, ...]] = {}
        self._is_source_away = False

    def run(self) -> None:
        begun = dict(self.summaries)
        try:
            with cached_sessions():
                for summary in run_units(self._checked_orders(), self._observer.observe, self._observer.is_stopping):
                    self._end(ended(begun[summary.run_id], summary, self._schema_changes[summary.run_id]))
        except IngestError as error:
            log.exception("the launch failed")
            fault = fault_of(error)
            self.end_all(lambda summary: failed(summary, fault))

    def end_all(self, how: Callable[[RunSummary], RunSummary]) -> None:
        """Ends the records that have no end yet."""
        for summary in list(self.summaries.values()):
            if summary.state is RunState.RUNNING:
                self._end(how(summary))

    def _end(self, summary: RunSummary) -> None:
        self.summaries[summary.run_id] = summary
        finish_records(self._installation, [summary])

    def _checked_orders(self) -> Iterator[RunOrder]:
        """Yields each order right before it runs, with its dataset as the source has it now."""
        for run_id, order in list(self.orders.items()):
            self._observer.start_run(run_id)
            if self._observer.is_stopping():
                continue
            try:
                checked = self._check_schema(order)
            except RunStopped:
                continue
            except IngestError as error:
                self._end(failed(self.summaries[run_id], fault_of(error)))
                continue
            self.orders[run_id], self._schema_changes[run_id] = checked.order, checked.changes
            yield checked.order

    def _check_schema(self, order: RunOrder) -> SchemaCheck:
        """After one unit exhausted its retries, later units try the source only once, until it answers."""
        attempts = 1 if self._is_source_away else order.spec.policy.max_attempts
        try:
            checked = _check_schema(self._installation, order, attempts, self._observer.is_stopping)
        except SourceUnavailable:
            self._is_source_away = True
            raise
        self._is_source_away = False
        return checked


def _check_schema(
    installation: Installation, order: RunOrder, attempts: int, is_stopping: Callable[[], bool]
) -> SchemaCheck:
    with logs.context(run=order.run_id, endpoint=order.spec.endpoint.endpoint_id, unit=order.spec.unit_id):
        checked = retry_unavailable(lambda: check_schema(installation, order), attempts, is_stopping)
        accept_schema(installation, checked)
        if checked.changes:
            log.warning("the dataset changed at the source: %s", "; ".join(checked.changes))
    return checked


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


def report_of(summaries: Sequence[RunSummary], reconciled: Sequence[ReconcileReport], seconds: float) -> RunReport:
    rows = RowCounts()
    for summary in summaries:
        rows = rows.plus(summary.rows)
    slices = {name: sum(getattr(s.slices, name) for s in summaries) for name in SliceCounts.model_fields}
    states = [summary.state for summary in summaries] + [found.state for found in reconciled]
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
    )
