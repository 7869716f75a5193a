"""Probes a unit, holds its snapshot open during the run, and cuts slices on demand."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from itertools import islice

from pydantic import Field, JsonValue

from ingest_ray.core import planning
from ingest_ray.core.messages import Fault, Planned, SliceReplanned
from ingest_ray.engine.readers.quarantine import strategy_of
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_layout import opened_spec
from ingest_ray.process.failpoints import reached
from ingest_ray.sdk import tracing
from ingest_ray.sdk.contracts import Backfill, Probe, RowSource, capability
from ingest_ray.sdk.errors import IngestError, Recovery
from ingest_ray.sdk.types import (
    Effect,
    Horizon,
    Interval,
    Learned,
    LogHistory,
    Model,
    Position,
    Scope,
    SegmentState,
    Slice,
    UnitSpec,
)


class PlanSummary(Model):
    """The result of a probe and the scopes to read, before the first cut."""

    strategy: str
    rows: int | None = None
    bytes: int | None = None
    horizon: Horizon | None = None
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    scopes: tuple[Scope, ...] = ()
    log_end: int | None = None
    log_upper: int | None = None
    """Of a log: where it ends now, and up to where this plan reads it; see `Probe`."""
    unchanged_until: dict[str, Position] = Field(default_factory=dict)
    """Of a log: segments without a change up to a position."""
    history: LogHistory | None = None
    """Of the log that those positions are of."""

    @property
    def is_load(self) -> bool:
        return any(scope.effect is Effect.LOAD for scope in self.scopes)

    @cached_property
    def estimated_rows(self) -> int | None:
        """Estimated rows of the scopes where all are known, else of the whole unit. Summed up once: each event reports it."""
        rows = self._rows_of_scopes
        return self.rows if rows is None or not self.scopes else rows

    @cached_property
    def estimated_bytes(self) -> int | None:
        """Estimated bytes of the scopes where their row counts are known, else of the whole unit."""
        rows = self._rows_of_scopes
        if not self.scopes:
            return 0
        if self.rows and self.bytes is not None and rows is not None:
            return int(self.bytes / self.rows * rows)
        return self.bytes

    @cached_property
    def _rows_of_scopes(self) -> int | None:
        rows = [scope.estimated_rows for scope in self.scopes]
        known = [row for row in rows if row is not None]
        return sum(known) if len(known) == len(rows) else None


class Planner:
    """The planner of one attempt: `begin`, then `open`, then `next` until the plan is done, then `close`.

    A failed `begin` may be repeated. A failed `next` or `replan` may not: the position in the plan is lost.
    """

    def __init__(self, order: RunOrder) -> None:
        self._order = order
        self._stack = ExitStack()
        self._strategy: RowSource = strategy_of(order)
        self._spec: UnitSpec = order.spec
        self._probe: Probe | None = None
        self._scopes: dict[tuple[str, str], Scope] = {}
        self._slices: Iterator[Slice] = iter(())
        self._without: set[str] = set()

    def begin(self, known: Mapping[str, SegmentState], learned: Learned) -> PlanSummary:
        """Connects and probes; the probe's connection and snapshot stay open until `close`.

        Raises:
            SourceUnavailable: nothing is open; `begin` may be called again.
        """
        try:
            with tracing.span("plan", {tracing.UNIT: self._order.spec.unit_id}) as span:
                found = self._probe_unit(known, learned)
                span.set(
                    {
                        "ingest.plan.strategy": found.strategy,
                        "ingest.plan.scopes": len(found.scopes),
                        "ingest.plan.rows": found.rows,
                        "ingest.plan.bytes": found.estimated_bytes,
                    }
                )
            return found
        except BaseException:
            self.close()
            raise

    def _probe_unit(self, known: Mapping[str, SegmentState], learned: Learned) -> PlanSummary:
        self._spec = opened_spec(self._order).model_copy(update={"learned": learned})
        self._probe = self._stack.enter_context(self._strategy.probe(self._spec, known))
        scopes = self._plan_scopes(self._probe, known)
        reached("plan:after-probe")
        return PlanSummary(
            strategy=self._probe.strategy,
            rows=self._probe.rows,
            bytes=self._probe.bytes,
            horizon=self._probe.horizon,
            facts=dict(self._probe.facts),
            scopes=tuple(scopes),
            log_end=self._probe.log_end,
            log_upper=self._probe.log_upper,
            unchanged_until=dict(self._probe.unchanged_until or {}),
            history=self._probe.history,
        )

    def _plan_scopes(self, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        order = self._order
        if order.task == "backfill":
            return capability(self._strategy, Backfill).between(self._spec, probe, known, order.lower, order.upper)
        return self._strategy.scopes(self._spec, probe, known)

    def open(self, scopes: Sequence[Scope]) -> None:
        """Takes the scopes as they were recorded, with their committed islands."""
        assert self._probe is not None
        self._scopes = {(scope.segment, scope.scope_id): scope for scope in scopes}
        self._slices = planning.slices(self._strategy, self._spec, self._probe, scopes, self._without)

    def next(self, count: int, without: frozenset[str] = frozenset()) -> Planned:
        reached("plan:before-next")
        self._without |= without
        slices = tuple(islice(self._slices, count))
        return Planned(slices, is_done=len(slices) < count)

    def replan(self, piece: Slice, interval: Interval, bytes_per_row: float | None, number: int) -> SliceReplanned:
        """Cuts the rest of a slice that was too large, with the bytes per row that its reader measured."""
        assert self._probe is not None
        scope = self._scopes[piece.segment, piece.scope_id]
        learned = self._spec.learned
        if bytes_per_row is not None:
            learned = learned.model_copy(update={"bytes_per_row": max(bytes_per_row, learned.bytes_per_row or 0.0)})
        spec = self._spec.model_copy(update={"learned": learned})
        slices = tuple(planning.replan(self._strategy, spec, self._probe, scope, piece, interval, number))
        return SliceReplanned(piece, slices)

    def explained(self, fault: Fault | None) -> Fault | None:
        """The fault of an attempt, with the reason why the planner's connection was lost, where a reader missed its snapshot."""
        check = self._probe.check_connection if self._probe is not None else None
        if fault is None or fault.recovery is not Recovery.REPLAN or check is None:
            return fault
        try:
            check()
        except IngestError as error:
            return replace(fault, message=f"{fault.message}: {error.message}", hint=error.hint or fault.hint)
        return fault

    def close(self) -> None:
        self._stack.close()
