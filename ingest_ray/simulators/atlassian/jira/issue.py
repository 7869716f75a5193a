"""One issue: indexed fields are stored; all other content is generated from the seed on demand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ingest_ray.simulators.atlassian.content.clock import DAY_MS, HOUR_MS
from ingest_ray.simulators.atlassian.content.people import Person
from ingest_ray.simulators.atlassian.content.rich_text import Prose, Text
from ingest_ray.simulators.atlassian.content.seeded_draws import SeededDraws, pick
from ingest_ray.simulators.atlassian.jira.site_configuration import SiteConfiguration

PER_ISSUE = 10_000  # ids of comments, worklogs and histories are issue id * PER_ISSUE + number
LINK_TYPES = (("10000", "Blocks", "is blocked by", "blocks"), ("10001", "Relates", "relates to", "relates to"))


@dataclass(slots=True)
class Comment:
    id: int
    author: int
    editor: int
    created: int
    updated: int
    text: Text
    visibility: str = ""


@dataclass(slots=True)
class Worklog:
    id: int
    author: int
    created: int
    updated: int
    started: int
    seconds: int
    text: Text
    visibility: str = ""


@dataclass(slots=True)
class History:
    """One entry of a changelog; items are (field, field id, from, from string, to, to string)."""

    id: int
    author: int
    created: int
    items: tuple["HistoryItem", ...]


HistoryItem = tuple[str, str, str | None, str | None, str | None, str | None]


@dataclass(slots=True)
class Attachment:
    id: int
    author: int
    created: int
    name: str
    kind: str
    size: int


@dataclass(slots=True)
class Issue:
    """Instants are epoch milliseconds; persons, projects, types are indices into the catalog; `revision` counts edits."""

    id: int
    project: int
    number: int
    created: int
    updated: int
    type: int
    status: int
    priority: int
    creator: int
    reporter: int
    spread: int  # the latest instant of generated comments, worklogs and histories
    assignee: int = -1
    first_status: int = 0
    first_assignee: int = -1
    """As generated: edits add entries to the changelog."""
    resolution: int = -1
    resolved: int = 0
    due: int = 0
    labels: tuple[int, ...] = ()
    components: tuple[int, ...] = ()
    fix_versions: tuple[int, ...] = ()
    parent: int = 0
    security: int = -1
    comments: int = 0
    worklogs: int = 0
    histories: int = 0
    attachments: int = 0
    link: int = 0
    points: float | None = None
    severity: int = -1
    revision: int = 0
    hidden: bool = False
    archived: bool = False
    poison: bool = False
    old_keys: tuple[str, ...] = ()
    over: dict[str, Any] = field(default_factory=dict)
    more_comments: tuple[Comment, ...] = ()
    more_worklogs: tuple[Worklog, ...] = ()
    gone_worklogs: frozenset[int] = frozenset()
    more_histories: tuple[History, ...] = ()
    loaded: dict[str, Any] | None = None


SEVERITIES = (("10040", "S1"), ("10041", "S2"), ("10042", "S3"))


class IssueContent:
    """Generates the content of an issue: texts, comments, worklogs, changelog, attachments."""

    def __init__(
        self,
        draws: SeededDraws,
        prose: Prose,
        people: list[Person],
        configuration: SiteConfiguration,
        *,
        cloud: bool = True,
    ) -> None:
        self.cloud = cloud
        self.draws = draws
        self.prose = prose
        self.people = people
        self.configuration = configuration

    def summary(self, issue: Issue) -> str:
        over = issue.over.get("summary")
        if over is not None:
            return str(over)
        if issue.loaded is not None:
            return str(issue.loaded["summary"])
        return self.prose.title(b"summary", issue.id)

    def description(self, issue: Issue) -> Text | None:
        """One generated issue in twelve has none. An edit makes a new one."""
        if issue.loaded is not None and not issue.revision:
            markup = issue.loaded.get("description")
            return (("wiki", markup),) if markup else None
        if issue.id % 12 == 5 and not issue.revision:
            return None
        return self.prose.text(b"description", issue.id, issue.revision)

    def environment(self, issue: Issue) -> Text | None:
        if issue.loaded is not None:
            markup = issue.loaded.get("environment")
            return (("wiki", markup),) if markup else None
        return self.prose.text(b"environment", issue.id, most=1) if issue.id % 9 == 0 else None

    def root_cause(self, issue: Issue) -> Text | None:
        return self.prose.text(b"cause", issue.id, most=2) if issue.loaded is None and issue.id % 7 == 0 else None

    def comments(self, issue: Issue) -> list[Comment]:
        """Oldest first."""
        if issue.loaded is not None:
            comments = self._loaded_comments(issue)
        else:
            comments = [self._comment(issue, number) for number in range(issue.comments)]
        return [*comments, *issue.more_comments] if issue.more_comments else comments

    def _comment(self, issue: Issue, number: int) -> Comment:
        d = self.draws(b"comment", issue.id, number)
        people = len(self.people)
        span = max(issue.spread - issue.created, 1)
        created = issue.created + span * (number + 1) // (issue.comments + 1)
        author = d[0] % people
        edited = d[1] % 8 == 0
        editor = d[2] % people if edited else author
        text = self.prose.text(b"comment-text", issue.id, number, most=3)
        visibility = "administrators" if d[3] % 50 == 0 else ""
        later = created + HOUR_MS if edited else created
        return Comment(issue.id * PER_ISSUE + number, author, editor, created, later, text, visibility)

    def _loaded_comments(self, issue: Issue) -> list[Comment]:
        assert issue.loaded is not None
        return list(issue.loaded["_comments"])

    def worklogs(self, issue: Issue) -> list[Worklog]:
        results = [self._worklog(issue, number) for number in range(issue.worklogs)]
        if issue.gone_worklogs:
            results = [w for w in results if w.id not in issue.gone_worklogs]
        return [*results, *(w for w in issue.more_worklogs if w.id not in issue.gone_worklogs)]

    def _worklog(self, issue: Issue, number: int) -> Worklog:
        d = self.draws(b"worklog", issue.id, number)
        span = max(issue.spread - issue.created, 1)
        created = issue.created + span * (number + 1) // (issue.worklogs + 1)
        text = self.prose.text(b"worklog-text", issue.id, number, most=1)
        author = d[0] % len(self.people)
        visibility = "administrators" if d[3] % 60 == 0 else ""
        started = created - d[1] % DAY_MS // 1000 * 1000
        seconds = 300 * (1 + d[2] % 96)
        return Worklog(issue.id * PER_ISSUE + number, author, created, created, started, seconds, text, visibility)

    def histories(self, issue: Issue) -> list[History]:
        """Oldest first; generated entries, then those of mutations. Each begins with the value that the one before left."""
        count = issue.histories
        draws = [self.draws(b"history", issue.id, number) for number in range(count)]
        status_ids, people = len(self.configuration.statuses), len(self.people)
        statuses = self._chain(draws, (0, 1), issue.first_status, lambda d: d[2] % status_ids, 0)
        assignees = self._chain(draws, (2,), issue.first_assignee, lambda d: d[2] % (people + 1) - 1, -1)
        span = max(issue.spread - issue.created, 1)
        results = []
        for number, d in enumerate(draws):
            created = issue.created + span * (number + 1) // count
            if number in statuses:
                a, b = (self.configuration.statuses[n] for n in statuses[number])
                item: HistoryItem = ("status", "status", a.id, a.name, b.id, b.name)
            elif number in assignees:
                item = ("assignee", "assignee", *self.named(assignees[number][0]), *self.named(assignees[number][1]))
            else:
                item = ("Story Points", "customfield_10016", None, None, None, str(d[1] % 20))
            results.append(History(issue.id * PER_ISSUE + number, d[3] % people, created, (item,)))
        return [*results, *issue.more_histories]

    def _chain(
        self,
        draws: list[tuple[int, ...]],
        kinds: tuple[int, ...],
        last: int,
        make: Callable[[tuple[int, ...]], int],
        first: int,
    ) -> dict[int, tuple[int, int]]:
        """(old, new) by the number of the entry that changes a value; the last one leaves the value that the issue was made with."""
        numbers = [number for number, d in enumerate(draws) if d[0] % 4 in kinds]
        pairs, old = {}, first
        for number in numbers:
            new = last if number == numbers[-1] else make(draws[number])
            pairs[number], old = (old, new), new
        return pairs

    def named(self, person: int) -> tuple[str | None, str | None]:
        """Id and name of a person, as a changelog has them."""
        if person < 0:
            return None, None
        return self.people[person].account_id if self.cloud else self.people[person].key, self.people[person].display

    def attachments(self, issue: Issue) -> list[Attachment]:
        return [self.attachment(issue, number) for number in range(issue.attachments)]

    def attachment(self, issue: Issue, number: int) -> Attachment:
        d = self.draws(b"attachment", issue.id, number)
        name, kind = pick(
            (("log.txt", "text/plain"), ("schéma 1.png", "image/png"), ("dump.bin", "application/octet-stream")), d[0]
        )
        span = max(issue.spread - issue.created, 1)
        created = issue.created + d[1] % span
        return Attachment(
            issue.id * PER_ISSUE + number, d[2] % len(self.people), created, f"{number}-{name}", kind, d[3] % 60_000
        )

    def attachment_bytes(self, attachment: Attachment) -> bytes:
        d = self.draws(b"bytes", attachment.id)
        block = b"".join(x.to_bytes(4, "little") for x in d)
        return (block * (attachment.size // len(block) + 1))[: attachment.size]
