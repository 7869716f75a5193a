"""Predicts what a run will cost of an hourly quota, on Cloud: the requests of the probe, and those that reading will take.

Labels come with the pages that search finds. What versions, readers and lists cost depends on what each page or space has: a full run of them is predicted by the one before.
https://developer.atlassian.com/cloud/confluence/rate-limiting/
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from ingest_ray.sdk.contracts import Probe
from ingest_ray.sdk.types import SegmentState, UnitSpec
from ingest_strategies.atlassian.deployment import CLOUD
from ingest_strategies.atlassian.estimates import learned_points
from ingest_strategies.confluence.planning.probe import SiteProbe, SpaceProbe, open_probe
from ingest_strategies.confluence.tables import ATTACHMENTS, COMMENTS, LABELS, PAGES, SPACES

MOST_HITS = 250  # of one answer of search
MOST_BODIES = 250
COUNTS = 8  # of each round in which a space's items are cut into slices


@contextmanager
def open_priced_probe(spec: UnitSpec, known: Mapping[str, SegmentState]) -> Iterator[Probe]:
    """The probe, with `points` among its facts where they can be predicted."""
    with open_probe(spec, known) as probe:
        points = predict_points(probe.live, spec)
        yield probe if points is None else replace(probe, facts={**probe.facts, "points": points})


def predict_points(site_probe: SiteProbe, spec: UnitSpec) -> int | None:
    """None where the site has no points, or where they cannot be predicted."""
    client = site_probe.api.client
    if site_probe.api.deployment != CLOUD or any(probe.is_listed_meanwhile for probe in site_probe.spaces):
        return None
    if client.config.acl == "required":
        return learned_points(spec, client.http.spent_points)
    table, most = site_probe.table, site_probe.slice_items(spec)
    if table is SPACES:
        return 2 * client.http.spent_points
    if table not in (PAGES, COMMENTS, ATTACHMENTS, LABELS):
        return learned_points(spec, client.http.spent_points)
    return client.http.spent_points + sum(
        space_points(probe, most, has_bodies=table is PAGES, is_full=site_probe.is_full)
        for probe in site_probe.spaces
        if probe.fault is None
    )


def space_points(probe: SpaceProbe, most: int, *, has_bodies: bool, is_full: bool) -> int:
    items = probe.counts.rows
    points = 0
    if items:
        points += items + -(-items // MOST_HITS) + 1 + (COUNTS * (items // most) + 2 if items > most else 0)
    if not has_bodies:
        return points
    by_id = len(probe.unindexed)
    if probe.tree is not None:
        by_id += len(probe.tree.changed(None if is_full else probe.tree_state.watermark))
    return points + items + 2 * -(-items // MOST_BODIES) + by_id + 3 * -(-by_id // MOST_BODIES)
