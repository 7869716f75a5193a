"""Pages, blog posts and the containers between them; bodies, comments and attachments are generated from the seed on demand."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from ingest_ray.simulators.atlassian.content.clock import HOUR_MS
from ingest_ray.simulators.atlassian.content.issue_links import issue_link, issue_markup
from ingest_ray.simulators.atlassian.content.people import Person
from ingest_ray.simulators.atlassian.content.rich_text import Block, Prose, Text
from ingest_ray.simulators.atlassian.content.seeded_draws import SeededDraws, pick

PER_PAGE = 1_000  # ids of comments are page id * PER_PAGE + number, of attachments + 500 + number
FIRST_ATTACHMENT = 500
Status = Literal["current", "archived", "trashed", "deleted"]
LABELS = ("howto", "runbook", "meeting-notes", "draft", "übersicht", "2026", "kb-troubleshooting-article", "decision")


@dataclass(slots=True)
class Space:
    index: int
    id: int
    key: str
    name: str
    kind: str
    author: int
    created: int
    homepage: int = 0
    archived: bool = False
    forbidden: bool = False
    failing: bool = False


@dataclass(slots=True)
class Container:
    """A folder, whiteboard, database or embed of Cloud: a parent that is no page. `restricted` as of a page; no API tells it."""

    id: int
    kind: str
    title: str
    space: int
    parent: int
    author: int
    created: int
    restricted: tuple[str, ...] = ()


@dataclass(slots=True)
class PageComment:
    """`parent` is the id of the comment that it answers, or 0. Inline ones quote a text and may be resolved."""

    id: int
    parent: int
    inline: bool
    author: int
    created: int
    version: int
    text: Text
    resolved: bool = False


@dataclass(slots=True)
class PageAttachment:
    """`created` and `author` are of this version; the first one was made at `first` by `creator`."""

    id: int
    title: str
    kind: str
    size: int
    author: int
    created: int
    version: int
    first: int
    creator: int
    salt: int = 0


@dataclass(slots=True)
class Page:
    """Instants are epoch milliseconds; `restricted` names who may read it here (`u3`, `g1`), ancestors restrict further."""

    id: int
    space: int
    kind: str
    created: int
    modified: int
    author: int
    editor: int
    version: int
    spread: int = 0
    status: Status = "current"
    parent: int = 0
    position: int = 0
    title: str = ""
    labels: tuple[int, ...] = ()
    comments: int = 0
    attachments: int = 0
    restricted: tuple[str, ...] = ()
    hidden: bool = False
    poison: bool = False
    storage_fails: bool = False
    attachment_fails: bool = False
    revision: int = 0
    message: str = ""
    more_comments: tuple[PageComment, ...] = ()
    more_attachments: tuple[PageAttachment, ...] = ()
    loaded: str = ""


class PageContent:
    """Generates the title, body, comments, attachments and versions of a page."""

    def __init__(self, draws: SeededDraws, prose: Prose, people: list[Person]) -> None:
        self.draws = draws
        self.prose = prose
        self.people = people
        self.site = ""
        """The address of the site, which is known when it is served: texts link to issues of the same site."""

    def title(self, page: Page) -> str:
        """Unique in its space: the number is part of it."""
        return page.title or f"{self.prose.title(b'title', page.id)} {page.id}"

    def body(self, page: Page, revision: int | None = None) -> Text:
        """About one page in twenty is forty times as long as the others; an edit makes a new text."""
        number = page.revision if revision is None else revision
        if page.loaded and not number:
            return (("storage", page.loaded),)
        text = self.prose.text(b"body", page.id, number, most=12)
        if page.id % 41 == 0:
            more = (self.prose.text(b"chapter", page.id, number * 64 + n, most=12) for n in range(40))
            text += tuple(block for part in more for block in part)
        extra: list[Block] = []
        if (issue := issue_link(page.id)) is not None:
            extra.append(("storage", issue_markup(*issue, self.site)))
        if page.parent and page.id % 5 == 0:
            extra.append(("page", f"Page {page.parent}"))
        if page.attachments and page.id % 2:
            extra.append(("image", self.attachment(page, 0).title))
        return text + tuple(extra)

    def comments(self, page: Page) -> list[PageComment]:
        results = [self._comment(page, n) for n in range(page.comments)]
        return [*results, *page.more_comments]

    def _comment(self, page: Page, number: int) -> PageComment:
        d = self.draws(b"page-comment", page.id, number)
        span = max(page.spread - page.created, 1)
        created = page.created + span * (number + 1) // (page.comments + 1)
        first = page.id * PER_PAGE
        # Every third comment answers an earlier one of the same sort; the first of each sort answers none.
        inline = number % 4 == 3
        earlier = [n for n in range(number) if (n % 4 == 3) == inline]
        parent = first + earlier[d[1] % len(earlier)] if earlier and d[2] % 3 == 0 else 0
        text = self.prose.text(b"page-comment-text", page.id, number, most=2)
        version = 1 + (d[3] % 9 == 0)
        return PageComment(
            first + number, parent, inline, d[0] % len(self.people), created, version, text, inline and d[4] % 3 == 0
        )

    def attachments(self, page: Page) -> list[PageAttachment]:
        first_added = page.id * PER_PAGE + FIRST_ATTACHMENT + page.attachments
        results = [self.attachment(page, n) for n in range(page.attachments)]
        return [*results, *(a for a in page.more_attachments if a.id >= first_added)]

    def attachment(self, page: Page, number: int) -> PageAttachment:
        """A newer version of a generated attachment stands in `more_attachments` under the same id, and hides it."""
        newer = [a for a in page.more_attachments if a.id == page.id * PER_PAGE + FIRST_ATTACHMENT + number]
        if newer:
            return newer[-1]
        d = self.draws(b"page-attachment", page.id, number)
        kinds = (
            ("notes.pdf", "application/pdf"),
            ("schéma.png", "image/png"),
            ("table 1.csv", "text/csv"),
            ("dump.bin", "application/octet-stream"),
        )
        name, kind = pick(kinds, d[0])
        size = d[1] % 40_000 if d[2] % 50 else 1_500_000
        first = page.created + d[3] % HOUR_MS
        version = 1 + (d[4] % 10 == 0)
        created = first + (version - 1) * (d[6] % HOUR_MS)
        creator, author = d[5] % len(self.people), (d[5] + (version - 1) * d[7]) % len(self.people)
        identity = page.id * PER_PAGE + FIRST_ATTACHMENT + number
        return PageAttachment(identity, f"{number}-{name}", kind, size, author, created, version, first, creator)

    def attachment_bytes(self, attachment: PageAttachment) -> bytes:
        d = self.draws(b"page-bytes", attachment.id, attachment.version * 1000 + attachment.salt)
        block = b"".join(x.to_bytes(4, "little") for x in d)
        return (block * (attachment.size // len(block) + 1))[: attachment.size]

    def attachment_hash(self, attachment: PageAttachment) -> str:
        return sha256(self.attachment_bytes(attachment)).hexdigest()

    def version_at(self, page: Page, number: int) -> tuple[int, int, str]:
        """(instant, author, message) of a version; the first is the creation, the last the newest edit."""
        if number >= page.version:
            return page.modified, page.editor, page.message
        if number == 1:
            return page.created, page.author, ""
        d = self.draws(b"version", page.id, number)
        span = max(page.spread - page.created, 1)
        return page.created + span * (number - 1) // max(page.version, 2), d[0] % len(self.people), f"edit {number}"

    def search_time(self, page: Page) -> int:
        """CQL's `lastmodified`: up to two seconds after the version's own instant, and shown by no field."""
        return page.modified + self.draws(b"search-time", page.id)[0] % 2_000
