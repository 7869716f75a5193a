"""Plans, reads and applies one unit in this process, without staging, sink or Ray: for tests of strategies.

Planning and checkpoint are those of a run (`core.planning`, `core.checkpoint`); the sink is a dictionary, or a list.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from pydantic import JsonValue

from ingest_ray.core import planning
from ingest_ray.core.checkpoint import folded, opened, settled
from ingest_ray.sdk.contracts import Probe, ReadContext, RowSource
from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.errors import SliceTooLarge
from ingest_ray.sdk.types import Interval, Scope, SegmentState, Slice, UnitSpec


@dataclass(frozen=True)
class Reject:
    raw: dict[str, JsonValue]
    reason: str
    column: str | None


@dataclass
class Outcome:
    """The slices, rows and rejects of one run."""

    slices: list[Slice] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)
    too_large: int = 0
    probe: Probe | None = None

    def by_scope(self) -> dict[str, int]:
        """Slices per scope."""
        return {scope.scope_id: sum(s.scope_id == scope.scope_id for s in self.slices) for scope in self.scopes}


class Stopped(Exception):
    """The rehearsal stopped after `stop_after` slices, as if the process had been killed."""


@dataclass
class Rehearsal:
    """A unit with its checkpoint, run as often as a test likes. The checkpoint goes through JSON between runs."""

    strategy: RowSource
    spec: UnitSpec
    page_bytes: int = 1024 * 1024
    budget_bytes: int = 64 * 1024 * 1024
    states: dict[str, SegmentState] = field(default_factory=dict)
    sink: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)
    appended: list[dict[str, Any]] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def schema(self) -> pa.Schema:
        return schema_of(self.spec.dataset, self.spec.policy.columns or None)

    @property
    def key(self) -> tuple[str, ...]:
        return self.spec.key

    def run(
        self,
        *,
        stop_after: int | None = None,
        between: Callable[[int], None] | None = None,
        order: Callable[[list[Slice]], list[Slice]] | None = None,
    ) -> Outcome:
        """Executes one run, and stops it after `stop_after` slices; `between` is called after each slice; `order` reorders the slices."""
        self.outcome = outcome = Outcome()
        states = {name: SegmentState.model_validate_json(s.model_dump_json()) for name, s in self.states.items()}
        with self.strategy.probe(self.spec, states) as probe:
            outcome.probe = probe
            planned = self.strategy.scopes(self.spec, probe, states)
            for segment in dict.fromkeys(scope.segment for scope in planned):
                state = states.get(segment, SegmentState(segment=segment))
                of_segment = [scope for scope in planned if scope.segment == segment]
                states[segment], scopes = opened(state, of_segment, is_target_empty=not self.sink and not self.appended)
                states[segment] = settled(states[segment])
                outcome.scopes.extend(scopes)
            self.states = states
            slices = planning.slices(self.strategy, self.spec, probe, outcome.scopes)
            for piece in order(list(slices)) if order else slices:
                if stop_after is not None and len(outcome.slices) >= stop_after:
                    raise Stopped
                self._commit(probe, Slice.model_validate_json(piece.model_dump_json()))
                if between is not None:
                    between(len(outcome.slices))
        return outcome

    def _commit(self, probe: Probe, piece: Slice) -> None:
        rows: list[dict[str, Any]] = []
        rejects: list[Reject] = []
        try:
            for batch in self.read(piece, rejects):
                assert batch.schema.equals(self.schema, check_metadata=True), "every batch has the declared schema"
                rows.extend(batch.to_pylist())
        except SliceTooLarge as error:
            self._recut(probe, piece, rows, rejects, error)
            return
        self._fold(piece, piece.interval, piece.rank, rows, rejects)

    def _recut(
        self, probe: Probe, piece: Slice, rows: list[dict[str, Any]], rejects: list[Reject], error: SliceTooLarge
    ) -> None:
        self.outcome.too_large += 1
        if self.outcome.too_large > 1_000:
            raise AssertionError("a slice is given back again and again")
        rest, first = piece.interval, 0
        if error.position is not None:
            rest, first = Interval(lower=error.position, upper=piece.interval.upper), 1
            covered = Interval(lower=piece.interval.lower, upper=error.position)
            self._fold(piece, covered, (*piece.rank, 0), rows, rejects)
        if error.bytes_per_row is not None:
            learned = self.spec.learned.model_copy(update={"bytes_per_row": error.bytes_per_row})
            self.spec = self.spec.model_copy(update={"learned": learned})
        scope = next(s for s in self.outcome.scopes if (s.segment, s.scope_id) == (piece.segment, piece.scope_id))
        for again in planning.cut(self.strategy, self.spec, probe, scope, rest, piece.rank, first):
            self._commit(probe, again)

    def _fold(
        self,
        piece: Slice,
        covered: Interval,
        rank: tuple[int, ...],
        rows: list[dict[str, Any]],
        rejects: list[Reject],
    ) -> None:
        outcome = self.outcome
        outcome.slices.append(piece.model_copy(update={"interval": covered, "rank": rank}))
        outcome.rows.extend(rows)
        outcome.rejects.extend(rejects)
        self.appended.extend(rows)
        for row in rows:
            has_key = bool(self.key) and set(self.key) <= set(row)
            key = tuple(row[name] for name in self.key) if has_key else (len(self.sink),)
            if piece.is_insert_only and has_key:
                assert key not in self.sink, f"{piece.slice_id} promised to insert only, and {key} is there"
            self.sink[key] = row
        self.states[piece.segment] = folded(self.states[piece.segment], piece.scope_id, covered, rank)

    def read(self, piece: Slice, rejects: list[Reject] | None = None) -> Iterator[pa.RecordBatch]:
        rejected = rejects if rejects is not None else []

        def reject(raw: Any, reason: str, column: str | None) -> None:
            json.dumps(dict(raw), allow_nan=False)
            rejected.append(Reject(dict(raw), reason, column))

        context = ReadContext(self.schema, self.page_bytes, self.budget_bytes, reject)
        return self.strategy.read(self.spec, piece, context)
