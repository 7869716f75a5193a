"""Progress as sets of intervals: the committed part of a scope, its gaps, and the watermark of a segment.

Pure functions over `Scope` and `SegmentState`. Positions are compared for equality only; the order along an axis is
the order of ranks, which the planner gives in axis order. So no collation of the source can make the core lose a row.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ingest_ray.sdk.errors import LedgerMismatch
from ingest_ray.sdk.types import Effect, Interval, Island, Position, Scope, SegmentState


@dataclass(frozen=True)
class Gap:
    """An uncommitted part of a scope. The ranks of its slices begin with `rank`."""

    interval: Interval
    rank: tuple[int, ...]


def renumbered(scope: Scope) -> Scope:
    """Gives islands odd ranks, so that the gaps around them have the even ones."""
    islands = tuple(
        Island(interval=island.interval, first_rank=(2 * index + 1,), last_rank=(2 * index + 1,))
        for index, island in enumerate(scope.done)
    )
    return scope.model_copy(update={"done": islands})


def gaps(scope: Scope) -> Iterator[Gap]:
    """Yields the gaps of a renumbered scope, in axis order."""
    lower = scope.target.lower
    for index, island in enumerate(scope.done):
        if island.interval.lower != lower:
            yield Gap(Interval(lower=lower, upper=island.interval.lower), (2 * index,))
        lower = island.interval.upper
        if lower is None:
            return
    if not scope.done or lower != scope.target.upper:
        yield Gap(Interval(lower=lower, upper=scope.target.upper), (2 * len(scope.done),))


def is_complete(scope: Scope) -> bool:
    return len(scope.done) == 1 and scope.done[0].interval == scope.target


def with_done(scope: Scope, interval: Interval, rank: tuple[int, ...]) -> Scope:
    """Adds one committed interval. Adding it again changes nothing.

    Raises:
        LedgerMismatch: the interval overlaps another one: two slices claimed the same rows.
    """
    for island in scope.done:
        if island.first_rank <= rank <= island.last_rank:
            return scope
    before = [island for island in scope.done if island.last_rank < rank]
    after = [island for island in scope.done if island.first_rank > rank]
    new = Island(interval=interval, first_rank=rank, last_rank=rank)
    if (before and interval.lower is None) or (after and interval.upper is None):
        raise LedgerMismatch(f"scope '{scope.scope_id}' of segment '{scope.segment}': committed intervals overlap")
    if before and before[-1].interval.upper == interval.lower:
        left = before.pop()
        new = Island(
            interval=Interval(lower=left.interval.lower, upper=interval.upper),
            first_rank=left.first_rank,
            last_rank=rank,
        )
    if after and after[0].interval.lower == interval.upper:
        right = after.pop(0)
        new = Island(
            interval=Interval(lower=new.interval.lower, upper=right.interval.upper),
            first_rank=new.first_rank,
            last_rank=right.last_rank,
        )
    return scope.model_copy(update={"done": (*before, new, *after)})


def leading_end(scope: Scope) -> Position | None:
    """The upper end of the gap-free part at the lower end of the scope."""
    if scope.done and scope.done[0].interval.lower == scope.target.lower:
        return scope.done[0].interval.upper
    return scope.target.lower


def settled(state: SegmentState) -> SegmentState:
    """Drops complete scopes and moves the watermark as far as they allow, never back."""
    watermark, is_loaded, advanced, history = state.watermark, state.is_loaded, state.advanced, state.history
    loads = [scope for scope in state.scopes if scope.effect is Effect.LOAD]
    advances = [scope for scope in state.scopes if scope.effect is Effect.ADVANCE]
    repeats = [scope for scope in state.scopes if scope.effect is Effect.REPEAT and not is_complete(scope)]
    if loads and all(is_complete(scope) for scope in loads):
        horizons = [scope.horizon for scope in loads if scope.horizon is not None]
        watermark = horizons[0] if horizons else watermark
        is_loaded, advanced, history, loads = True, loads[0].clock, loads[0].history, []
    while advances and not loads:
        watermark = leading_end(advances[0])
        if not is_complete(advances[0]):
            break
        advanced, history = advances[0].clock, advances.pop(0).history or history
    scopes = (*loads, *advances, *repeats)
    ended = [scope for scope in state.scopes if scope not in scopes]
    update = {
        "watermark": watermark,
        "is_loaded": is_loaded,
        "scopes": scopes,
        "advanced": advanced,
        "history": history,
    }
    clock = ended[-1].clock if ended else None
    if clock is not None and clock.settled_s is not None and not repeats:
        # A run plans its repeats with its advance: the rows below that advance were read again, or there were none.
        update["verified"] = clock
    return state.model_copy(update=update)


def folded(state: SegmentState, scope_id: str, interval: Interval, rank: tuple[int, ...]) -> SegmentState:
    """Adds one committed slice to a segment's checkpoint. Unknown scopes (AHEAD, or already complete) change nothing."""
    scopes = tuple(with_done(scope, interval, rank) if scope.scope_id == scope_id else scope for scope in state.scopes)
    return settled(state.model_copy(update={"scopes": scopes}))


def opened(
    state: SegmentState, planned: Sequence[Scope], *, is_target_empty: bool
) -> tuple[SegmentState, tuple[Scope, ...]]:
    """Merges planned scopes with stored ones; returns the state to store and the scopes to cut, renumbered.

    A stored scope goes on with its own target, horizon and islands, unless it is not resumable: then it starts again as
    a new generation. A scope may insert only when the target was empty at the moment its generation began.
    """
    stored = {scope.scope_id: scope for scope in state.scopes}
    generation = state.generation
    scopes: list[Scope] = []
    is_restart = False
    for scope in planned:
        old = stored.get(scope.scope_id)
        if old is not None and scope.is_resumable:
            is_insert_only = old.is_insert_only and scope.is_insert_only
            kept = {"is_insert_only": is_insert_only, "history": scope.history or old.history}
            scopes.append(renumbered(old.model_copy(update=kept)))
            continue
        is_restart |= scope.effect is Effect.LOAD and (old is not None or state.is_loaded)
        is_insert_only = scope.is_insert_only and is_target_empty
        scopes.append(scope.model_copy(update={"done": (), "is_insert_only": is_insert_only}))
    check_chain(state, scopes)
    remembered = tuple(scope for scope in scopes if scope.effect is not Effect.AHEAD)
    update = {
        "generation": generation + 1 if is_restart else generation,
        "scopes": remembered,
        "is_loaded": state.is_loaded and not any(scope.effect is Effect.LOAD for scope in scopes),
    }
    return state.model_copy(update=update), tuple(scopes)


def check_chain(state: SegmentState, scopes: Iterable[Scope]) -> None:
    """Advancing scopes must begin at the watermark and touch, or rows between them would never be read.

    Raises:
        LedgerMismatch: a strategy planned a hole.
    """
    advances = [scope for scope in scopes if scope.effect is Effect.ADVANCE]
    expected = state.watermark
    for index, scope in enumerate(advances):
        starts = leading_end(scope) if index == 0 else scope.target.lower
        if scope.target.upper is None or (expected is not None and starts != expected):
            raise LedgerMismatch(
                f"segment '{state.segment}': scope '{scope.scope_id}' begins at {starts}, the one before ends at {expected}"
            )
        expected = scope.target.upper
