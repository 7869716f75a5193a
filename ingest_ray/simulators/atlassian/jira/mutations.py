"""Mutations of a Jira while it is read; each function is one operation of `/__sim/mutate`."""

from collections.abc import Callable
from typing import Any

from ingest_ray.simulators.atlassian.content.clock import MINUTE_MS
from ingest_ray.simulators.atlassian.content.seeded_draws import pick
from ingest_ray.simulators.atlassian.jira.issue import PER_ISSUE, Comment, History, Issue, Worklog
from ingest_ray.simulators.atlassian.jira.issue_store import IssueStore
from ingest_ray.simulators.atlassian.jira.site_configuration import FieldSpec, Project

Request = dict[str, Any]


def _extra(store: IssueStore, issue: Issue) -> int:
    store.next_extra += 1
    return issue.id * PER_ISSUE + store.next_extra % PER_ISSUE


def _targets(store: IssueStore, request: Request, suits: Callable[[Issue], bool]) -> list[int]:
    """The ids in the request, or `count` issues that suit, picked by `seed`; `project` narrows them."""
    if "ids" in request:
        return [int(i) if str(i).isdecimal() else store.by_key[str(i)] for i in request["ids"]]
    project = request.get("project")
    chosen = store.configuration.project(str(project)) if project else None
    if project and chosen is None:
        raise KeyError(f"no project is called {project!r}")
    suiting = [i for i in sorted(store.issues) if suits(store.issues[i])]
    if chosen is not None:
        suiting = [i for i in suiting if store.issues[i].project == chosen.index]
    return store.draws.sample(b"mutate-%d" % int(request.get("seed", 0)), suiting, int(request.get("count", 1)))


def _edit_each(store: IssueStore, request: Request, suits: Callable[[Issue], bool], **changes: Any) -> list[int]:
    chosen = _targets(store, request, suits)
    for number in chosen:
        store.edit(number, **changes)
    return chosen


def _history(
    store: IssueStore, issue: Issue, field: str, field_id: str, old: str | None, new: str | None, *ids: str | None
) -> tuple[History, ...]:
    """`ids`: of the old and the new value, where they have any."""
    old_id, new_id = ids or (None, None)
    entry = History(_extra(store, issue), 0, store.clock.now(), ((field, field_id, old_id, old, new_id, new),))
    return (*issue.more_histories, entry)


def _next_number(store: IssueStore, project: Project) -> int:
    """Above the number of every key of the project, also of keys that moved issues had."""
    prefix = f"{project.key}-"
    used = (int(key[len(prefix) :]) for key in store.by_key if key.startswith(prefix))
    return max(used, default=0) + 1


def create(store: IssueStore, request: Request) -> list[int]:
    results = []
    for number in range(int(request.get("count", 1))):
        issue_id = store.next_id + number
        d = store.draws(b"create", issue_id)
        wanted = request.get("project")
        project = (
            store.configuration.project(str(wanted))
            if wanted
            else pick([p for p in store.configuration.projects if not p.archived], d[0])
        )
        if project is None:
            raise KeyError(f"no project is called {wanted!r}")
        now = store.clock.now()
        issue = Issue(issue_id, project.index, _next_number(store, project), now, now, 2, 0, 2, 0, 0, now)
        store.put(issue)
        results.append(issue.id)
    store.next_id += len(results)
    return results


def update(store: IssueStore, request: Request) -> list[int]:
    """Sets a new summary, or the one in `fields`, with its changelog entry; moves `updated`."""
    chosen = _targets(store, request, store.searchable)
    for number in chosen:
        issue = store.issues[number]
        old = store.content.summary(issue)
        new = request.get("fields", {}).get(
            "summary", f"{store.content.prose.title(b'summary', number)} r{issue.revision + 1}"
        )
        history = _history(store, issue, "summary", "summary", old, new)
        over = {**issue.over, "summary": new}
        store.edit(number, over=over, updated=store.clock.now(), revision=issue.revision + 1, more_histories=history)
    return chosen


def transition(store: IssueStore, request: Request) -> list[int]:
    chosen = _targets(store, request, store.searchable)
    for number in chosen:
        issue = store.issues[number]
        status = (issue.status + 1) % len(store.configuration.statuses)
        names = store.configuration.statuses
        old, new = names[issue.status], names[status]
        history = _history(store, issue, "status", "status", old.name, new.name, old.id, new.id)
        done = names[status].category == 3
        now = store.clock.now()
        resolved = {"resolution": 0, "resolved": now} if done else {"resolution": -1, "resolved": 0}
        store.edit(number, status=status, updated=now, more_histories=history, **resolved)
    return chosen


def assign(store: IssueStore, request: Request) -> list[int]:
    """To `person`, an index, or the next one; -1 is nobody."""
    chosen = _targets(store, request, store.searchable)
    for number in chosen:
        issue = store.issues[number]
        person = int(request.get("person", (issue.assignee + 1) % len(store.people)))
        (old_id, old), (new_id, new) = store.content.named(issue.assignee), store.content.named(person)
        history = _history(store, issue, "assignee", "assignee", old, new, old_id, new_id)
        store.edit(number, assignee=person, updated=store.clock.now(), more_histories=history)
    return chosen


def set_security(store: IssueStore, request: Request) -> list[int]:
    """Gives issues the security level of an index; -1 is none. The account goes on seeing them."""
    level = int(request.get("level", 0))
    return _edit_each(store, request, store.searchable, security=level, updated=store.clock.now())


def silent(store: IssueStore, request: Request) -> list[int]:
    """Changes issues without moving `updated`, as votes and links from another issue do."""
    chosen = _targets(store, request, store.searchable)
    for number in chosen:
        store.edit(number, points=(store.issues[number].points or 0.0) + 1.0)
    return chosen


def comment(store: IssueStore, request: Request) -> list[int]:
    chosen = _targets(store, request, store.searchable)
    for number in chosen:
        issue, now = store.issues[number], store.clock.now()
        comments = list(issue.more_comments)
        for _ in range(int(request.get("each", 1))):
            comment_id = _extra(store, issue)
            comments.append(Comment(comment_id, 0, 0, now, now, store.content.prose.text(b"new-comment", comment_id)))
        store.edit(number, more_comments=tuple(comments), updated=now)
    return chosen


def log_work(store: IssueStore, request: Request) -> list[int]:
    chosen = _targets(store, request, store.searchable)
    for number in chosen:
        issue, now = store.issues[number], store.clock.now()
        worklog_id = _extra(store, issue)
        entry = Worklog(
            worklog_id,
            0,
            now,
            now,
            now // MINUTE_MS * MINUTE_MS,
            1800,
            store.content.prose.text(b"new-log", worklog_id, most=1),
        )
        store.edit(number, more_worklogs=(*issue.more_worklogs, entry), updated=now)
    store.worklog_feed = None
    return chosen


def delete_worklog(store: IssueStore, request: Request) -> list[int]:
    """Deletes the first worklog of each; the answer has the worklogs' ids."""
    chosen = _targets(store, request, lambda i: store.searchable(i) and bool(store.content.worklogs(i)))
    gone = []
    for number in chosen:
        issue, now = store.issues[number], store.clock.now()
        first = store.content.worklogs(issue)[0]
        store.edit(number, gone_worklogs=issue.gone_worklogs | {first.id}, updated=now)
        store.deleted_worklogs.append((now, first.id))
        gone.append(first.id)
    store.worklog_feed = None
    return gone


def move(store: IssueStore, request: Request) -> list[int]:
    """Moves issues into `to`, or the next project; the key changes, the old key still finds the issue, the id stays."""
    chosen = _targets(store, request, store.searchable)
    for number in chosen:
        issue = store.issues[number]
        target = store.configuration.project(str(request["to"])) if "to" in request else None
        if target is None:
            others = [
                p for p in store.configuration.projects if not p.archived and not p.deleted and p.index != issue.project
            ]
            target = others[issue.id % len(others)]
        old, following = store.key(issue), _next_number(store, target)
        history = _history(store, issue, "Key", "", old, f"{target.key}-{following}")
        changes: Request = {"project": target.index, "number": following, "old_keys": (*issue.old_keys, old)}
        store.edit(number, updated=store.clock.now(), more_histories=history, components=(), fix_versions=(), **changes)
    return chosen


def delete(store: IssueStore, request: Request) -> list[int]:
    chosen = _targets(store, request, store.searchable)
    for number in chosen:
        store.deleted[number] = store.clock.now()
        issue = store.issues.pop(number)
        for key in (store.key(issue), *issue.old_keys):
            store.by_key.pop(key, None)
        store.changed(number)
    return chosen


def archive(store: IssueStore, request: Request) -> list[int]:
    return _edit_each(store, request, store.searchable, archived=True)


def restore(store: IssueStore, request: Request) -> list[int]:
    """Archived issues come back, with the `updated` that they had."""
    return _edit_each(store, request, lambda i: i.archived, archived=False)


def restrict(store: IssueStore, request: Request) -> list[int]:
    """Hides issues from the account: search leaves them out, and they answer 404 by id."""
    return _edit_each(store, request, store.searchable, security=1, hidden=True)


def unrestrict(store: IssueStore, request: Request) -> list[int]:
    return _edit_each(store, request, lambda i: i.hidden, security=-1, hidden=False)


def poison(store: IssueStore, request: Request) -> list[int]:
    return _edit_each(store, request, store.searchable, poison=True)


def cure(store: IssueStore, request: Request) -> list[int]:
    return _edit_each(store, request, lambda i: i.poison, poison=False)


def rename_field(store: IssueStore, request: Request) -> list[int]:
    """`{"field": "customfield_10016", "name": "Points", "schema": {...}}`: a new display name, or a new type."""
    field: FieldSpec = next(f for f in store.configuration.fields if f.id == request["field"])
    field.name = str(request.get("name", field.name))
    field.schema = request.get("schema", field.schema)
    return []


def _project(store: IssueStore, request: Request) -> Project:
    project = store.configuration.project(str(request["project"]))
    if project is None:
        raise KeyError(f"no project is called {request['project']!r}")
    return project


def _project_state(store: IssueStore, project: Project) -> list[int]:
    ids = [i.id for i in store.issues.values() if i.project == project.index]
    for number in ids:
        store.changed(number)
    return ids


def archive_project(store: IssueStore, request: Request) -> list[int]:
    project = _project(store, request)
    project.archived = not request.get("undo", False)
    return _project_state(store, project)


def delete_project(store: IssueStore, request: Request) -> list[int]:
    project = _project(store, request)
    project.deleted = not request.get("undo", False)
    return _project_state(store, project)


def create_project(store: IssueStore, request: Request) -> list[int]:
    index = len(store.configuration.projects)
    key = str(request["project"])
    store.configuration.projects.append(
        Project(index, str(10_000 + index), key, str(request.get("name", key.title())), 0)
    )
    return []


OPERATIONS: dict[str, Callable[[IssueStore, Request], list[int]]] = {
    f.__name__.replace("_", "-"): f
    for f in (
        create, update, transition, assign, set_security, silent, comment, log_work, delete_worklog, move, delete, archive, restore, restrict,
        unrestrict, poison, cure, rename_field, archive_project, delete_project, create_project,
    )
}  # fmt: skip
