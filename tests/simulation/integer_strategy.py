"""The smallest strategy that uses every effect: load along the key, advance along the cursor, look back, read ahead."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from ingest_ray.sdk.contracts import Probe
from ingest_ray.sdk.types import Axis, Effect, Interval, Piece, Position, Scope, SegmentState, Slice, UnitSpec
from tests.simulation.source_table import SourceTable, position_value

KEY = Axis(kind="key", columns=("id",))
CURSOR = Axis(kind="cursor", columns=("at",))


@dataclass
class IntegerStrategy:
    """`write`: upsert, append or replace. `reads_ahead`: rows above the horizon are read too, as upserts may."""

    table: SourceTable
    write: str
    width: int
    lookback: int
    reads_ahead: bool
    descriptor: Any = None

    def probe(self, known: Mapping[str, SegmentState]) -> AbstractContextManager[Probe]:
        return nullcontext(Probe(strategy="ints", facts={"horizon": self.table.horizon}))

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> list[Scope]:
        out: list[Scope] = []
        for segment in map(str, range(self.table.segments)):
            state = known.get(segment, SegmentState(segment=segment))
            out += self._scopes_of(state, (int(str(probe.facts["horizon"])),))
        return out

    def _scopes_of(self, state: SegmentState, horizon: Position) -> list[Scope]:
        if self.write == "replace":
            return [self._load(state, None)]
        if state.is_loaded:
            return self._incremental_scopes(state, horizon)
        return [scope for scope in state.scopes if scope.effect is Effect.LOAD] or [self._load(state, horizon)]

    def _load(self, state: SegmentState, horizon: Position | None) -> Scope:
        return Scope(
            scope_id="load",
            segment=state.segment,
            axis=KEY,
            effect=Effect.LOAD,
            horizon=horizon,
            is_resumable=horizon is not None,
            is_insert_only=self.write == "upsert",
        )

    def _incremental_scopes(self, state: SegmentState, horizon: Position) -> list[Scope]:
        advances = [scope for scope in state.scopes if scope.effect is Effect.ADVANCE]
        repeats = [scope for scope in state.scopes if scope.effect is Effect.REPEAT]
        end = advances[-1].target.upper if advances else state.watermark
        assert end is not None
        taken = {scope.scope_id for scope in (*advances, *repeats)}
        number = next(n for n in range(state.sequence + 1, 10**9) if not {f"since-{n}", f"again-{n}"} & taken)
        base = Scope(scope_id=f"since-{number}", segment=state.segment, axis=CURSOR, effect=Effect.ADVANCE)
        if end[0] < horizon[0]:  # type: ignore[operator]
            advances.append(base.model_copy(update={"target": Interval(lower=end, upper=horizon), "horizon": horizon}))
        if self.lookback:
            window = Interval(lower=(int(end[0]) - self.lookback,), upper=end)
            repeats = [scope for scope in repeats if scope.target != window]
            again = {"scope_id": f"again-{number}", "target": window, "effect": Effect.REPEAT}
            repeats.append(base.model_copy(update=again))
        ahead = {"scope_id": "ahead", "target": Interval(lower=horizon), "effect": Effect.AHEAD}
        return [*advances, *repeats, *([base.model_copy(update=ahead)] if self.reads_ahead else [])]

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        lower = gap.lower
        values = sorted({axis_value(scope.axis, row) for row in self._rows(scope, gap)})
        for value in values[self.width :: self.width]:
            upper = self.position(scope.axis, value)
            yield Piece(interval=Interval(lower=lower, upper=upper), estimated_bytes=10)
            lower = upper
        yield Piece(interval=Interval(lower=lower, upper=gap.upper), estimated_bytes=10)

    def _rows(self, scope: Scope | Slice, interval: Interval) -> list[tuple[int, int]]:
        rows = [(key, row.at) for key, row in self.table.of(scope.segment).items()]
        return sorted(row for row in rows if is_inside(axis_value(scope.axis, row), interval))

    def read(self, piece: Slice, horizon: Position | None) -> list[tuple[int, int]]:
        """Returns the rows that one statement sees. A load that appends leaves rows above its first horizon to the first advance."""
        rows = self._rows(piece, piece.interval)
        if piece.effect is Effect.LOAD and self.write == "append" and horizon is not None:
            rows = [row for row in rows if row[1] < position_value(horizon)]
        return rows

    def position(self, axis: Axis, value: int) -> Position:
        return (value,)


def axis_value(axis: Axis, row: tuple[int, int]) -> int:
    return row[0] if axis == KEY else row[1]


def is_inside(value: int, interval: Interval) -> bool:
    above = interval.lower is None or value >= position_value(interval.lower)
    return above and (interval.upper is None or value < position_value(interval.upper))
