"""What has to be read now, given what is committed. Pure: the look has already asked Confluence everything."""

from collections.abc import Iterator

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Axis, Effect, Interval, Scope
from ingest_strategies.atlassian import segment_progress
from ingest_strategies.atlassian.segment_progress import since
from ingest_strategies.confluence.planning.probe import CURSOR, IDS, KEY, TREE, TREE_SUFFIX, Look, SpaceLook
from ingest_strategies.confluence.tables import ACLS

WHOLE = Axis(kind="whole")
ALL = "all"
"""The segment of spaces."""
MISSED = "missed"


def planned(look: Look) -> Iterator[Scope]:
    if not look.table.content:
        yield Scope(scope_id="load", segment=ALL, axis=WHOLE, effect=Effect.LOAD, is_resumable=False)
        return
    for space in look.spaces:
        if space.fault is not None:
            continue
        if look.is_full:
            yield from full(space)
        elif look.table is ACLS:
            yield from every_time(look, space)
        else:
            yield from since(look.course, space.counts)
            yield from unfound(space)
    # Trees come last: they are small, and may have nothing to read.
    for space in look.spaces:
        if space.tree is not None:
            yield from other_pages(space) if look.is_full else moved(look, space)
    # A run gives up when more has failed than went well, so what will probably fail comes after what will not.
    for space in look.spaces:
        if space.fault is not None:
            yield failing(look, space)


def failing(look: Look, space: SpaceLook) -> Scope:
    """One slice that asks again, and fails if the space still does. So a person sees it, and nobody else suffers."""
    state, lower = space.counts.state, space.counts.lower_ms
    if look.is_full:
        return Scope(scope_id="load", segment=space.space.key, axis=KEY, effect=Effect.LOAD, is_resumable=False)
    owed = next((scope for scope in state.scopes if scope.effect is Effect.ADVANCE), None)
    if owed is not None:
        return owed
    if look.table is ACLS or (lower is not None and lower >= look.horizon_ms):
        return Scope(
            scope_id="ahead", segment=space.space.key, axis=KEY if look.table is ACLS else CURSOR, effect=Effect.AHEAD
        )
    return Scope(
        scope_id=f"since-{'start' if lower is None else lower}",
        segment=space.space.key,
        axis=CURSOR,
        target=Interval(lower=None if lower is None else (lower,), upper=(look.horizon_ms,)),
        effect=Effect.ADVANCE,
        horizon=(look.horizon_ms,),
    )


def full(space: SpaceLook) -> Iterator[Scope]:
    """Along the time of creation: a page that is changed meanwhile keeps its place."""
    if space.counts.total:
        yield Scope(
            scope_id="load",
            segment=space.space.key,
            axis=KEY,
            effect=Effect.LOAD,
            is_resumable=False,
            estimated_rows=space.counts.total,
        )


def other_pages(space: SpaceLook) -> Iterator[Scope]:
    """Archived and trashed pages, which search does not find."""
    assert space.tree is not None
    if space.tree.changed(None):
        yield Scope(
            scope_id="load",
            segment=space.space.key + TREE_SUFFIX,
            axis=TREE,
            effect=Effect.LOAD,
            is_resumable=False,
            estimated_rows=len(space.tree.changed(None)),
        )


def every_time(look: Look, space: SpaceLook) -> Iterator[Scope]:
    """Restrictions change without a trace, so all of them are read by every run."""
    if space.counts.total:
        yield Scope(
            scope_id="ahead",
            segment=space.space.key,
            axis=KEY,
            effect=Effect.AHEAD,
            estimated_rows=space.counts.total,
        )


def unfound(space: SpaceLook) -> Iterator[Scope]:
    if space.missed:
        yield Scope(
            scope_id=MISSED,
            segment=space.space.key,
            axis=IDS,
            effect=Effect.AHEAD,
            estimated_rows=len(space.missed),
        )


def moved(look: Look, space: SpaceLook) -> Iterator[Scope]:
    """What an earlier run left of its comparison; then the tree as it is now against what it will be then."""
    state, tree = space.tree_state, space.tree
    assert tree is not None
    owed = [scope for scope in state.scopes if scope.effect is Effect.ADVANCE]
    yield from owed
    known = owed[-1].target.upper if owed else state.watermark
    if tree.is_as_before(known, look.horizon_ms):
        return
    number = state.sequence if not owed else state.sequence + len(owed)
    yield Scope(
        scope_id=f"tree-{look.horizon_ms}-{number}",
        segment=state.segment,
        axis=TREE,
        target=Interval(lower=known, upper=tree.position(look.horizon_ms, known)),
        effect=Effect.ADVANCE,
        estimated_rows=len(tree.changed(known)),
    )


def between(look: Look, lower: str | None, upper: str | None) -> Iterator[Scope]:
    name = look.spec.unit_id
    if not look.table.content or look.table is ACLS:
        raise ConfigError(f"{name} has no time of change to choose an interval of")
    yield from segment_progress.between(name, CURSOR, [one.space.key for one in look.spaces], lower, upper)
