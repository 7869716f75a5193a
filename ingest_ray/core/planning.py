"""Turns a strategy's scopes and cuts into the slices of a run: lazily, in axis order, checked to cover every gap."""

from collections.abc import Container, Iterator, Sequence

from ingest_ray.core.checkpoint import gaps
from ingest_ray.sdk.contracts import Probe, RowSource
from ingest_ray.sdk.errors import LedgerMismatch
from ingest_ray.sdk.types import Interval, Piece, Scope, Slice, UnitSpec


def slices(
    strategy: RowSource, spec: UnitSpec, probe: Probe, scopes: Sequence[Scope], without: Container[str] = ()
) -> Iterator[Slice]:
    """Yields the slices of every gap of every scope. The same arguments give the same slices.

    `without` may grow during the iteration: its segments are not cut any further.
    """
    for scope in scopes:
        for gap in gaps(scope):
            if scope.segment in without:
                break
            for piece in cut(strategy, spec, probe, scope, gap.interval, gap.rank):
                yield piece
                if scope.segment in without:
                    break


def cut(
    strategy: RowSource,
    spec: UnitSpec,
    probe: Probe,
    scope: Scope,
    interval: Interval,
    rank: tuple[int, ...],
    first: int = 0,
) -> Iterator[Slice]:
    """Yields the slices of one interval; their ranks are `rank` followed by 0, 1, 2, ...

    Raises:
        LedgerMismatch: the strategy's pieces do not touch or do not cover the interval.
    """
    lower = interval.lower
    piece: Piece | None = None
    for index, piece in enumerate(strategy.cut(spec, probe, scope, interval)):
        if piece.interval.lower != lower or (index and lower is None):
            raise LedgerMismatch(
                f"scope '{scope.scope_id}' of segment '{scope.segment}': a piece begins at {piece.interval.lower}, "
                f"the one before ends at {lower}"
            )
        lower = piece.interval.upper
        yield slice_of(scope, piece, (*rank, index), probe.snapshot)
    if piece is None or lower != interval.upper:
        raise LedgerMismatch(
            f"scope '{scope.scope_id}' of segment '{scope.segment}': pieces end at {lower}, the gap at {interval.upper}"
        )


def replan(
    strategy: RowSource, spec: UnitSpec, probe: Probe, scope: Scope, piece: Slice, interval: Interval, count: int
) -> Iterator[Slice]:
    """Yields the slices of the upper rest of a slice; `count` is the number of earlier replans of the slice.

    A slice that is read again may stop earlier than before, so a later rest lies below an earlier one. Hence the descending
    number in the rank: it sorts after the slice itself, and before every rest that was cut off earlier.
    """
    yield from cut(strategy, spec, probe, scope, interval, (*piece.rank, -count))


def slice_of(scope: Scope, piece: Piece, rank: tuple[int, ...], snapshot: str | None) -> Slice:
    return Slice(
        segment=scope.segment,
        scope_id=scope.scope_id,
        rank=rank,
        axis=scope.axis,
        interval=piece.interval,
        nulls=scope.nulls,
        effect=scope.effect,
        is_insert_only=scope.is_insert_only,
        estimated_rows=piece.estimated_rows,
        estimated_bytes=piece.estimated_bytes,
        snapshot=snapshot,
        hints=piece.hints,
    )
