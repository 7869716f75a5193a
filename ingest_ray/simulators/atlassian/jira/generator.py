"""Generates issues from a seed: over three years, most edits recent, with ties on one minute and on one millisecond.

The order of keys differs from that of ids, as on any site that has grown: some issues were moved in from another project and got its
next key, and some blocks were imported, with keys that they had elsewhere.
"""

from datetime import UTC, datetime

from ingest_ray.simulators.atlassian.content.clock import DAY_MS, HOUR_MS, MINUTE_MS
from ingest_ray.simulators.atlassian.content.seeded_draws import SeededDraws, weighted
from ingest_ray.simulators.atlassian.jira.issue import SEVERITIES, Issue
from ingest_ray.simulators.atlassian.jira.site_configuration import SiteConfiguration
from ingest_ray.simulators.atlassian.server.traps import Traps

FIRST_ID = 100_000
_SPAN_MS = 3 * 365 * DAY_MS
_MOVED_SHARE = 0.03
_IMPORT_BLOCK = 12  # issues of one project that may have been imported together
_IMPORTED_SHARE = 0.2  # of these blocks
_BULK_EDITS = 12  # instants at which many issues were changed at once
# The wall clock of Europe/Berlin skips 02:00-03:00 at the first, and shows it twice around the second.
_CLOCK_CHANGES = tuple(int(datetime(*d, tzinfo=UTC).timestamp() * 1000) for d in ((2025, 3, 30, 1), (2025, 10, 26, 1)))


def make_issues(
    draws: SeededDraws, configuration: SiteConfiguration, people: int, count: int, now_ms: int, traps: Traps
) -> list[Issue]:
    """Issue ids ascend; projects have unequal sizes: the first has about a fifth of all issues."""
    weights = [max(1, 1000 // (n + 4)) for n in range(len(configuration.projects))]
    numbers = [0] * len(weights)
    results = []
    for ordinal in range(count):
        d = draws(b"issue", ordinal)
        project = weighted(weights, d[0])
        numbers[project] += 1
        issue = _issue(draws, configuration, people, d, FIRST_ID + ordinal * 3, project, numbers[project], now_ms)
        if "dst-zone" in traps and ordinal % 4 == 0:
            _around_clock_change(issue, d)
        issue.spread = issue.updated
        results.append(issue)
    _import_blocks(results, draws)
    _move_some(results, draws, configuration, numbers)
    _relate(results, draws)
    _trap(results, draws, traps)
    return results


def _issue(
    draws: SeededDraws,
    configuration: SiteConfiguration,
    people: int,
    d: tuple[int, ...],
    number: int,
    project: int,
    ordinal: int,
    now_ms: int,
) -> Issue:
    age = _SPAN_MS * (d[1] % 10_000) // 10_000
    created = now_ms - DAY_MS - age - d[2] % DAY_MS
    # Half of the issues were last updated within a month of their creation; the others at any time up to yesterday.
    reach = min(now_ms - HOUR_MS - created, 30 * DAY_MS) if d[3] % 2 else now_ms - HOUR_MS - created
    updated = created + reach * (d[4] % 100_000) // 100_000
    tie = d[5] % 40
    if tie < 2:  # 5 %: on one of few instants, the millisecond, or the minute
        e = draws(b"bulk-edit", d[6] % _BULK_EDITS)
        moment = now_ms - DAY_MS - e[0] % (200 * DAY_MS)
        moment = moment if tie else moment // MINUTE_MS * MINUTE_MS + d[7] % MINUTE_MS
        updated = max(moment, created)
    e = draws(b"issue-more", number)
    status = weighted((35, 15, 8, 38, 4), e[0])
    done = configuration.statuses[status].category == 3
    issue = Issue(
        id=number,
        project=project,
        number=ordinal,
        created=created,
        updated=updated,
        spread=updated,
        type=weighted((4, 25, 35, 28, 8), e[1]),
        status=status,
        priority=weighted((3, 17, 60, 15, 5), e[2]),
        creator=e[3] % people,
        reporter=e[3] % people if e[4] % 5 else e[5] % people,
        assignee=e[6] % people if e[7] % 4 else -1,
    )
    if done:
        issue.resolution, issue.resolved = weighted((80, 10, 6, 4), e[8]), updated
    issue.first_status, issue.first_assignee = issue.status, issue.assignee
    _details(issue, configuration, draws(b"issue-details", number))
    return issue


def _details(issue: Issue, configuration: SiteConfiguration, d: tuple[int, ...]) -> None:
    issue.labels = tuple(n for n in range(len(configuration.labels)) if d[0] >> n & 15 == 15)
    issue.components = tuple(n for n in range(3) if d[1] >> n & 3 == 3)
    issue.fix_versions = tuple(n for n in range(4) if d[2] >> n & 7 == 7)
    issue.due = issue.created // DAY_MS * DAY_MS + d[3] % 90 * DAY_MS if d[4] % 5 == 0 else 0
    # Most issues have few comments, worklogs and histories; a few have more than any inline cap.
    issue.comments = (d[5] % 4) if d[6] % 100 else 25 + d[5] % 160
    issue.worklogs = (d[7] % 3) if d[8] % 10 == 0 else 0
    if d[8] % 400 == 1:
        issue.worklogs = 21 + d[7] % 60
    issue.histories = 1 + d[9] % 6 if d[10] % 100 else 41 + d[9] % 90
    issue.attachments = 1 + d[11] % 3 if d[12] % 12 == 0 else 0
    issue.points = (None, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0)[d[13] % 7]
    issue.severity = d[14] % len(SEVERITIES) if d[15] % 3 == 0 else -1


def _import_blocks(issues: list[Issue], draws: SeededDraws) -> None:
    """Gives the issues of some blocks of a project each other's key numbers, in reverse."""
    blocks: dict[tuple[int, int], list[Issue]] = {}
    for issue in issues:
        blocks.setdefault((issue.project, issue.number // _IMPORT_BLOCK), []).append(issue)
    for (project, block), imported in blocks.items():
        if draws.chance(b"imported-%d" % project, block, _IMPORTED_SHARE):
            numbers = [issue.number for issue in imported]
            for issue, number in zip(imported, reversed(numbers), strict=True):
                issue.number = number


def _move_some(issues: list[Issue], draws: SeededDraws, configuration: SiteConfiguration, numbers: list[int]) -> None:
    """Moves some issues to another project, where each gets the next key; the old key still finds it. Ids stay."""
    projects = configuration.projects
    for issue in issues:
        if len(projects) < 2 or not draws.chance(b"moved", issue.id, _MOVED_SHARE):
            continue
        old_key = f"{projects[issue.project].key}-{issue.number}"
        target = (issue.project + 1 + draws(b"moved-to", issue.id)[0] % (len(projects) - 1)) % len(projects)
        numbers[target] += 1
        issue.project, issue.number, issue.old_keys = target, numbers[target], (old_key,)


def _around_clock_change(issue: Issue, d: tuple[int, ...]) -> None:
    change = _CLOCK_CHANGES[d[8] % 2]
    issue.updated = change + d[9] % (6 * HOUR_MS) - 3 * HOUR_MS
    issue.created = min(issue.created, issue.updated - HOUR_MS)
    if issue.resolved:
        issue.resolved = issue.updated


def _relate(issues: list[Issue], draws: SeededDraws) -> None:
    """Sub-tasks get an earlier parent of their project, stories an epic; one issue in ten blocks an earlier one."""
    parents: dict[int, list[Issue]] = {}
    epics: dict[int, list[Issue]] = {}
    for issue in issues:
        d = draws(b"relate", issue.id)
        seen, tall = parents.setdefault(issue.project, []), epics.setdefault(issue.project, [])
        if issue.type == 4:
            if seen:
                issue.parent = seen[d[0] % len(seen)].id
            else:
                issue.type = 2
        elif issue.type == 0:
            tall.append(issue)
        elif tall and d[1] % 2:
            issue.parent = tall[d[2] % len(tall)].id
        if issue.type not in (0, 4):
            seen.append(issue)
        if d[3] % 10 == 0 and issue.id > FIRST_ID:
            issue.link = issues[d[4] % ((issue.id - FIRST_ID) // 3)].id


def _trap(issues: list[Issue], draws: SeededDraws, traps: Traps) -> None:
    hidden_share = traps.number("permission-404") / 100
    for issue in issues:
        d = draws(b"access", issue.id)
        if d[0] % 30 == 0:
            issue.security = 0
        if hidden_share and draws.chance(b"hidden", issue.id, hidden_share):
            issue.security, issue.hidden = 1, True
    wanted = int(traps.number("poison-500") or traps.number("poison-json"))
    visible = [issue for issue in issues if not issue.hidden]
    for number in range(min(wanted, len(visible))):
        visible[draws(b"poison", number)[0] % len(visible)].poison = True
