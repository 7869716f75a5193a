"""Which scopes to read, given what is committed. Pure: the probe has made all requests."""

from collections.abc import Iterator

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Axis, Effect, Interval, Position, Scope
from ingest_strategies.atlassian.segment_progress import (
    advance_scope,
    incremental_scopes,
    interval_scopes,
    load_scopes,
)
from ingest_strategies.confluence.api.cql import CREATED
from ingest_strategies.confluence.planning.page_tree import NO_DIGEST
from ingest_strategies.confluence.planning.probe import CURSOR, TREE_SUFFIX, SiteProbe, SpaceProbe
from ingest_strategies.confluence.tables import ACLS

KEY = Axis(kind="key", columns=(CREATED,))
"""Of FULL runs: a page that changes during the run stays at its time of creation."""
TREE = Axis(kind="cursor", columns=("tree",))
IDS = Axis(kind="key", columns=("id",))
WHOLE = Axis(kind="whole")
ALL = "all"
"""The segment of spaces."""
UNINDEXED = "missed"
"""The scope of changed pages that search lacks."""


def plan_scopes(site_probe: SiteProbe) -> Iterator[Scope]:
    if not site_probe.table.content:
        # A space named like the segment of the whole site is of another unit.
        segments = [ALL] if site_probe.table.extent == "site" else [probe.space.key for probe in site_probe.spaces]
        for segment in segments:
            yield Scope(scope_id="load", segment=segment, axis=WHOLE, effect=Effect.LOAD, is_resumable=False)
        return
    for probe in site_probe.spaces:
        if probe.fault is not None:
            continue
        if site_probe.is_full:
            yield from load_scopes(probe.space.key, KEY, probe.counts.total)
        elif site_probe.table.is_reread:
            yield from acl_scopes(probe)
        else:
            yield from incremental_scopes(site_probe.bounds, probe.counts)
            yield from unindexed_scopes(probe)
    # Trees come last: they are small, may have nothing to read, and some are being listed until then.
    for probe in site_probe.spaces:
        if probe.listing is None:
            continue
        if site_probe.table is ACLS and not site_probe.is_full:
            yield from noncurrent_scopes(probe)
        elif site_probe.is_full:
            # Search finds current pages only: archived and trashed ones are read by the tree.
            yield from tree_load_scopes(probe)
        else:
            yield from tree_scopes(site_probe, probe)
    # A run gives up when more has failed than succeeded, so spaces that will probably fail come after the others.
    for probe in site_probe.spaces:
        if probe.fault is not None:
            yield fault_scope(site_probe, probe)
            yield from unlisted_tree_scopes(site_probe, probe)


def fault_scope(site_probe: SiteProbe, probe: SpaceProbe) -> Scope:
    """One slice that repeats the failed requests, and fails if they still do: only this space fails, and its error is shown."""
    key, state, lower_ms = probe.space.key, probe.counts.state, probe.counts.lower_ms
    if site_probe.is_full:
        return Scope(scope_id="load", segment=key, axis=KEY, effect=Effect.LOAD, is_resumable=False)
    unfinished = next((scope for scope in state.scopes if scope.effect is Effect.ADVANCE), None)
    if unfinished is not None:
        return unfinished
    if site_probe.table.is_reread:
        return Scope(scope_id="ahead", segment=key, axis=KEY, effect=Effect.AHEAD)
    if lower_ms is not None and lower_ms >= site_probe.horizon_ms:
        return Scope(scope_id="ahead", segment=key, axis=CURSOR, effect=Effect.AHEAD)
    return advance_scope(site_probe.bounds, key, lower_ms, None)


def unlisted_tree_scopes(site_probe: SiteProbe, probe: SpaceProbe) -> Iterator[Scope]:
    """What the tree of such a space has, as its reader lists it: without that a run would succeed, or replace a table, without the pages that
    search does not find. Nothing is remembered, because the plan has no digest: the next run compares the tree again.
    """
    if not site_probe.has_trees:
        return
    segment = probe.space.key + TREE_SUFFIX
    if site_probe.is_full:
        yield Scope(scope_id="load", segment=segment, axis=TREE, effect=Effect.LOAD, is_resumable=False)
    else:
        known = None if site_probe.table.is_reread else known_tree(probe)
        yield Scope(
            scope_id="unlisted",
            segment=segment,
            axis=TREE,
            target=Interval(lower=known),
            effect=Effect.AHEAD,
            is_resumable=False,
        )


def acl_scopes(probe: SpaceProbe) -> Iterator[Scope]:
    """Restrictions have no time of change, so every run reads all of them."""
    if probe.counts.total:
        yield Scope(
            scope_id="ahead",
            segment=probe.space.key,
            axis=KEY,
            effect=Effect.AHEAD,
            estimated_rows=probe.counts.total,
        )


def noncurrent_pages(probe: SpaceProbe) -> int | None:
    """Archived and trashed pages, which search does not find; None: they are still being listed."""
    if probe.is_listed_meanwhile:
        return None
    return len(probe.tree.changed(None)) if probe.tree is not None else 0


def tree_load_scopes(probe: SpaceProbe) -> Iterator[Scope]:
    segment, noncurrent = probe.space.key + TREE_SUFFIX, noncurrent_pages(probe)
    if noncurrent is None:
        yield Scope(scope_id="load", segment=segment, axis=TREE, effect=Effect.LOAD, is_resumable=False)
    else:
        yield from load_scopes(segment, TREE, noncurrent)


def noncurrent_scopes(probe: SpaceProbe) -> Iterator[Scope]:
    noncurrent = noncurrent_pages(probe)
    if noncurrent != 0:
        yield Scope(
            scope_id="noncurrent",
            segment=probe.space.key + TREE_SUFFIX,
            axis=TREE,
            effect=Effect.AHEAD,
            estimated_rows=noncurrent,
        )


def unindexed_scopes(probe: SpaceProbe) -> Iterator[Scope]:
    if probe.unindexed:
        yield Scope(
            scope_id=UNINDEXED,
            segment=probe.space.key,
            axis=IDS,
            effect=Effect.AHEAD,
            estimated_rows=len(probe.unindexed),
        )


def tree_scopes(site_probe: SiteProbe, probe: SpaceProbe) -> Iterator[Scope]:
    """Unfinished comparisons of earlier runs; then the current tree against the one that these lead to."""
    state, tree = probe.tree_state, probe.tree
    assert tree is not None
    unfinished = [scope for scope in state.scopes if scope.effect is Effect.ADVANCE]
    yield from unfinished
    known = unfinished[-1].target.upper if unfinished else known_tree(probe)
    if tree.is_unchanged(known, site_probe.horizon_ms):
        return
    number = state.sequence + len(unfinished)
    yield Scope(
        scope_id=f"tree-{site_probe.horizon_ms}-{number}",
        segment=state.segment,
        axis=TREE,
        target=Interval(lower=known, upper=tree.position(site_probe.horizon_ms, known)),
        effect=Effect.ADVANCE,
        estimated_rows=len(tree.changed(known)),
    )


def known_tree(probe: SpaceProbe) -> Position | None:
    """The tree of the last comparison. None: the space is loaded by this run."""
    if probe.tree_state.watermark is None and probe.counts.state.watermark is not None:
        return NO_DIGEST
    return probe.tree_state.watermark


def plan_interval(site_probe: SiteProbe, lower: str | None, upper: str | None) -> Iterator[Scope]:
    name = site_probe.spec.unit_id
    if not site_probe.table.content or site_probe.table.is_reread:
        raise ConfigError(f"{name} has no time of change to choose an interval of")
    keys = [probe.space.key for probe in site_probe.spaces]
    yield from interval_scopes(name, CURSOR, keys, lower, upper)
