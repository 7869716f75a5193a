"""Cuts one gap into slices: windows of time by counts, and lists of ids."""

from collections.abc import Iterator

from pydantic import JsonValue

from ingest_ray.sdk.errors import SourceError
from ingest_ray.sdk.types import Effect, Interval, Piece, Position, Scope, UnitSpec
from ingest_strategies.atlassian.windows import Counted
from ingest_strategies.confluence.api.client import Space, edge
from ingest_strategies.confluence.api.cql import speakable
from ingest_strategies.confluence.planning import page_tree
from ingest_strategies.confluence.planning.probe import TREE_SUFFIX, Look, row_bytes, slice_items
from ingest_strategies.confluence.planning.scopes import MISSED

MOST_IDS = 250  # named by one slice: what one request can ask for, in less than 4 KiB


def pieces(look: Look, spec: UnitSpec, scope: Scope, gap: Interval) -> Iterator[Piece]:
    if scope.axis.kind == "whole":
        yield Piece(interval=gap, estimated_rows=scope.estimated_rows)
        return
    found = look.of(scope.segment)
    hints: dict[str, JsonValue] = {"zone": look.zone_name, "space": told(found.space), "now_ms": look.now_ms}
    lower = gap.lower
    most = slice_items(spec, look)
    if scope.segment.endswith(TREE_SUFFIX) or scope.scope_id == MISSED:
        if found.tree is not None and scope.scope_id != MISSED:
            lists = page_tree.pieces(found.tree, scope.target.lower, gap, min(most, MOST_IDS))
        else:
            lists = unfound(found.missed, gap, min(most, MOST_IDS))
        for upper, names in lists:
            yield piece(spec, Interval(lower=lower, upper=upper), len(names), hints | {"ids": " ".join(names)})
            lower = upper
        return
    if found.fault is not None:
        yield piece(spec, gap, 0, hints | {"fault": True})
        return
    for upper, items in windows(look, found.space, scope, gap, most):
        yield piece(spec, Interval(lower=lower, upper=upper), items, hints | {"items": items})
        lower = upper


def told(space: Space) -> JsonValue:
    """What a reader must know of the space without asking."""
    return [space.id, space.key, space.name, space.type, space.status]


def piece(spec: UnitSpec, interval: Interval, items: int, hints: dict[str, JsonValue]) -> Piece:
    return Piece(
        interval=interval,
        estimated_rows=items,
        estimated_bytes=int(items * row_bytes(spec)),
        hints=hints,
    )


def unfound(missed: tuple[str, ...], gap: Interval, most: int) -> Iterator[tuple[Position | None, list[str]]]:
    low = int(gap.lower[0]) if gap.lower else 0
    high = int(gap.upper[0]) if gap.upper else len(missed)
    while high - low > most:
        yield (low + most,), list(missed[low : low + most])
        low += most
    yield gap.upper, list(missed[low:high])


def windows(look: Look, space: Space, scope: Scope, gap: Interval, most: int) -> Iterator[tuple[Position | None, int]]:
    """Ends that a wall clock of the instance tells without doubt; those between that it does not are left out.

    A space whose counts cannot be had is one slice, which is cut by what its reader sees.
    """

    def end(interval: Interval, *, last: bool) -> int | None:
        return edge(look.api.web, look.where(space.key, interval), look.axis, last=last)

    counted = Counted(
        web=look.api.web,
        count=lambda interval: look.count(space.key, interval),
        first=lambda interval: end(interval, last=False),
        last=lambda interval: end(interval, last=True),
        most=most,
        has_ends=scope.effect is Effect.LOAD,
    )
    held, lower = 0, gap.lower
    try:
        for upper, items in counted.windows(gap):
            held += items
            if upper is None or upper == gap.upper:
                break
            place = (speakable(int(upper[0]), look.zone),)
            if lower is None or place[0] > int(lower[0]):
                yield place, held
                held, lower = 0, place
    except SourceError:
        held = scope.estimated_rows or 0
    yield gap.upper, held
