"""What else hangs on a page: tasks, likes and content of apps, generated from the seed on demand.

https://developer.atlassian.com/cloud/confluence/rest/v2/api-group-task/, `-like/`, `-custom-content/`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ingest_ray.simulators.atlassian.confluence.page import PER_PAGE, Page, PageContent
from ingest_ray.simulators.atlassian.content.clock import DAY_MS
from ingest_ray.simulators.atlassian.content.rich_text import Text

APP_TYPES = ("ac:com.example.polls:poll", "ac:com.example.diagrams:diagram")
_FIRST_TASK, _FIRST_APP = 700, 800


@dataclass(frozen=True)
class PageTask:
    """Instants are epoch milliseconds; `assignee`, `closer`, `due` and `closed` may be missing."""

    id: int
    author: int
    assignee: int | None
    closer: int | None
    created: int
    updated: int
    due: int | None
    closed: int | None
    text: Text

    @property
    def status(self) -> str:
        return "incomplete" if self.closed is None else "complete"


@dataclass(frozen=True)
class AppContent:
    """Content that an app keeps on a page."""

    id: int
    kind: str
    title: str
    author: int
    created: int
    version: int


def tasks(content: PageContent, page: Page) -> list[PageTask]:
    d = content.draws(b"page-tasks", page.id)
    return [_task(content, page, n) for n in range(1 + d[1] % 4)] if d[0] % 6 == 0 else []


def _task(content: PageContent, page: Page, number: int) -> PageTask:
    """A task without text is a blank one."""
    d, people = content.draws(b"page-task", page.id, number), len(content.people)
    created = page.created + d[0] % max(page.modified - page.created, 1)
    is_closed = d[1] % 3 == 0
    closed = created + d[2] % DAY_MS if is_closed else None
    text: Text = () if d[6] % 9 == 0 else (("p", content.prose.line(b"task-text", page.id, number)),)
    return PageTask(
        page.id * PER_PAGE + _FIRST_TASK + number,
        page.author,
        d[3] % people if d[4] % 4 else None,
        d[5] % people if is_closed else None,
        created,
        closed or created,
        created + 7 * DAY_MS if d[7] % 2 else None,
        closed,
        text,
    )


def task_record(task: PageTask, name: Callable[[int], str]) -> dict[str, Any]:
    people = {"assignee": task.assignee, "closer": task.closer}
    named = {role: None if number is None else name(number) for role, number in people.items()}
    instants = {"created_ms": task.created, "due_ms": task.due, "closed_ms": task.closed}
    return {"id": str(task.id), "status": task.status, "is_blank": not task.text, **named, **instants}


def likes(content: PageContent, page: Page) -> list[int]:
    """The people who like a page, in the order of their likes."""
    d = content.draws(b"page-likes", page.id)
    people = len(content.people)
    return list(dict.fromkeys((d[1] + n * n * d[2]) % people for n in range(d[0] % 6))) if d[3] % 3 == 0 else []


def app_contents(content: PageContent, page: Page) -> list[AppContent]:
    d = content.draws(b"page-apps", page.id)
    count = 1 + d[1] % 2 if d[0] % 12 == 0 else 0
    return [
        AppContent(
            page.id * PER_PAGE + _FIRST_APP + n,
            APP_TYPES[(d[2] + n) % len(APP_TYPES)],
            f"App content {n} of {page.id}",
            page.author,
            page.created + n,
            1 + d[3] % 2,
        )
        for n in range(count)
    ]
