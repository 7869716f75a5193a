"""Predicts what a run will cost of an hourly quota, on Cloud: the requests of the probe, and those that reading will take.

What a list has beyond its inline part (20 comments or worklogs) is known only when its issue is read: a first load is predicted without it,
a later run with what an issue of this unit has cost on average. So are full runs of the other units, by the run before.
https://developer.atlassian.com/cloud/jira/platform/rate-limiting/
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from ingest_ray.sdk.contracts import Probe
from ingest_ray.sdk.types import SegmentState, UnitSpec
from ingest_strategies.atlassian.deployment import CLOUD
from ingest_strategies.atlassian.estimates import learned_points
from ingest_strategies.jira.issue_tables import ATTACHMENTS, ISSUE_LINKS
from ingest_strategies.jira.planning.probe import SiteProbe, open_probe
from ingest_strategies.jira.tables import CHANGELOGS, COMMENTS, ISSUES, PROJECTS, USERS, WORKLOGS

MOST_BODIES = 100  # of one request
OF_BODIES = frozenset(table.name for table in (ISSUES, COMMENTS, WORKLOGS, CHANGELOGS, ISSUE_LINKS, ATTACHMENTS))
"""Units that come with the bodies of issues."""
COUNTS = 8  # of each round in which a project's issues are cut into slices


@contextmanager
def open_priced_probe(spec: UnitSpec, known: Mapping[str, SegmentState]) -> Iterator[Probe]:
    """The probe, with `points` among its facts where they can be predicted."""
    with open_probe(spec, known) as probe:
        points = predict_points(probe.live, spec)
        yield probe if points is None else replace(probe, facts={**probe.facts, "points": points})


def predict_points(site_probe: SiteProbe, spec: UnitSpec) -> int | None:
    """None where the site has no points, or where they depend on what each object has."""
    if site_probe.api.deployment != CLOUD:
        return None
    spent = site_probe.api.client.http.spent_points
    name = spec.dataset.name
    if name in (PROJECTS.name, USERS.name):
        rows = spec.dataset.estimated_rows or 0
        return spent + (1 + rows if name == PROJECTS.name else 2 + 2 * rows)
    if name not in OF_BODIES:
        learned = learned_points(spec, spent)
        return None if learned is None else learned + listed_points(site_probe)
    most = site_probe.slice_issues(spec)
    if name == ISSUES.name and spec.learned.points_per_row is not None:
        cuts = (
            0
            if site_probe.is_full
            else sum(_cuts(project.rows, most) for project in site_probe.projects if project.rows)
        )
        listed = site_probe.rows if site_probe.is_full else 0
        return spent + round(spec.learned.points_per_row * site_probe.rows) + listed + cuts
    is_searched = not site_probe.is_full and site_probe.api.client.http.has_quota and name != CHANGELOGS.name
    keys = sum(bulk_points(project.rows) for project in site_probe.projects) if name == CHANGELOGS.name else 0
    return (
        spent
        + keys  # of the issues of changelogs
        + sum(
            project_points(project.rows, most, is_full=site_probe.is_full, is_searched=is_searched)
            for project in site_probe.projects
            if project.rows
        )
    )


def listed_points(site_probe: SiteProbe) -> int:
    """Of the ids of issues that a full run lists before its slices are read: no row's cost has them."""
    if not site_probe.has_issues:
        return 0
    return sum(project.rows + 2 for project in site_probe.projects if project.rows)


def bulk_points(issues: int) -> int:
    return issues + -(-issues // MOST_BODIES)


def project_points(issues: int, most: int, *, is_full: bool, is_searched: bool) -> int:
    """`most`: issues of a slice."""
    slices = -(-issues // most)
    bodies = bulk_points(issues) + slices // 2
    if is_searched:
        return bodies + _cuts(issues, most)
    ids = issues + (2 if is_full else slices)
    return ids + bodies + (0 if is_full else _cuts(issues, most))


def _cuts(issues: int, most: int) -> int:
    """Counts of windows, and the edges of a project that is cut."""
    return 1 + (COUNTS * (issues // most) + 4 if issues > most else 0)
