"""Mutations of a Confluence while it is read; each function is one operation of `/__sim/mutate`."""

from collections.abc import Callable
from typing import Any

from ingest_ray.simulators.atlassian.confluence.page import (
    FIRST_ATTACHMENT,
    LABELS,
    PER_PAGE,
    Page,
    PageAttachment,
    PageComment,
    Space,
)
from ingest_ray.simulators.atlassian.confluence.page_store import PageStore
from ingest_ray.simulators.atlassian.content.clock import DAY_MS

Request = dict[str, Any]


def _targets(store: PageStore, request: Request, suits: Callable[[Page], bool]) -> list[int]:
    """The ids in the request, or `count` pages that suit, picked by `seed`; `space` narrows them. Homepages never suit."""
    if "ids" in request:
        return [int(i) for i in request["ids"]]
    chosen = _space(store, request) if "space" in request else None
    homes = {s.homepage for s in store.spaces}
    suiting = [
        p.id for p in store.pages.values()
        if p.id not in homes and suits(p) and (chosen is None or p.space == chosen.index)
    ]  # fmt: skip
    return store.draws.sample(b"mutate-%d" % int(request.get("seed", 0)), suiting, int(request.get("count", 1)))


def _edit_each(store: PageStore, request: Request, suits: Callable[[Page], bool], **changes: Any) -> list[int]:
    chosen = _targets(store, request, suits)
    for number in chosen:
        store.edit(number, **changes)
    return chosen


def _space(store: PageStore, request: Request) -> Space:
    space = store.space(str(request["space"]))
    if space is None:
        raise KeyError(f"no space is called {request['space']!r}")
    return space


def _current(store: PageStore) -> Callable[[Page], bool]:
    return lambda p: store.searchable(p) and p.kind == "page"


def _edited(store: PageStore, page: Page) -> Request:
    return {"modified": store.clock.now(), "version": page.version + 1, "editor": 0}


def create(store: PageStore, request: Request) -> list[int]:
    space = _space(store, request) if "space" in request else next(s for s in store.spaces if not s.archived)
    results = []
    for _ in range(int(request.get("count", 1))):
        now, number = store.clock.now(), store.next_id
        store.next_id += 1
        kind = str(request.get("type", "page"))
        page = Page(number, space.index, kind, now, now, 0, 0, 1, now, title=str(request.get("title", "")))
        page.parent = int(request.get("parent", space.homepage)) if kind == "page" else 0
        store.put(page)
        results.append(number)
    return results


def edit(store: PageStore, request: Request) -> list[int]:
    chosen = _targets(store, request, _current(store))
    for number in chosen:
        page = store.pages[number]
        store.edit(number, revision=page.revision + 1, message=str(request.get("message", "")), **_edited(store, page))
    return chosen


def rename(store: PageStore, request: Request) -> list[int]:
    """A new title is a new version."""
    chosen = _targets(store, request, _current(store))
    for number in chosen:
        page = store.pages[number]
        title = str(request.get("title", f"Renamed {number} v{page.version + 1}"))
        store.edit(number, title=title, **_edited(store, page))
    return chosen


def reparent(store: PageStore, request: Request) -> list[int]:
    """Under `to`, or the homepage: no new version, `modified` stays."""
    chosen = _targets(store, request, lambda p: _current(store)(p) and p.parent != store.spaces[p.space].homepage)
    for number in chosen:
        page = store.pages[number]
        store.edit(number, parent=int(request.get("to", store.spaces[page.space].homepage)))
    return chosen


def move(store: PageStore, request: Request) -> list[int]:
    """Into space `to`, or the next one that is not archived, with everything below."""
    chosen = _targets(store, request, _current(store))
    for number in chosen:
        page = store.pages[number]
        target = store.space(str(request["to"])) if "to" in request else None
        if target is None:
            others = [s for s in store.spaces if not s.archived and s.index != page.space and s.kind == "global"]
            if not others:
                raise ValueError("there is no other space to move to")
            target = others[number % len(others)]
        for below in store.descendants(number):
            if below in store.pages:
                store.edit(below, space=target.index)
        store.edit(number, space=target.index, parent=target.homepage, **_edited(store, page))
    return chosen


def trash(store: PageStore, request: Request) -> list[int]:
    """Children go up to the parent, as they do when only the page is deleted; no new version."""
    chosen = _targets(store, request, _current(store))
    for number in chosen:
        page = store.pages[number]
        for below in sorted(store.children.get(number, ())):
            if below in store.pages:
                store.edit(below, parent=page.parent)
            else:
                store.containers[below].parent = page.parent
        store.edit(number, status="trashed")
    return chosen


def restore(store: PageStore, request: Request) -> list[int]:
    """Back from the trash or the archive, with the same id; a restore is a new version."""
    chosen = _targets(store, request, lambda p: p.status in ("trashed", "archived"))
    for number in chosen:
        page = store.pages[number]
        parent = page.parent if page.parent in store.pages else store.spaces[page.space].homepage
        store.edit(number, status="current", parent=parent, **_edited(store, page))
    return chosen


def archive(store: PageStore, request: Request) -> list[int]:
    return _edit_each(store, request, _current(store), status="archived")


def purge(store: PageStore, request: Request) -> list[int]:
    """Deletes trashed pages, or those in the request, for good: they leave the trash and answer 404 by id."""
    chosen = _targets(store, request, lambda p: p.status == "trashed")
    for number in chosen:
        store.purge(number)
    return chosen


def restrict(store: PageStore, request: Request) -> list[int]:
    """`{"readers": ["u0", "g1"]}`; without `u0` or a group of person 0, the account cannot see them any more.

    An id of a folder restricts the folder. The account still sees what is below it: no test needs more.
    """
    readers = tuple(str(r) for r in request.get("readers", ("u1",)))
    folders = [int(i) for i in request.get("ids", ()) if int(i) in store.containers]
    for number in folders:
        store.restrict_container(number, readers)
    if folders:
        return folders
    chosen = _targets(store, request, _current(store))
    mine = {"u0", *(f"g{n}" for n, g in enumerate(store.groups) if 0 in g.members)}
    for number in chosen:
        store.edit(number, restricted=readers, hidden=bool(readers) and mine.isdisjoint(readers))
        store.refresh_below(number)
    return chosen


def unrestrict(store: PageStore, request: Request) -> list[int]:
    chosen = _targets(store, request, lambda p: bool(p.restricted))
    for number in chosen:
        store.edit(number, restricted=(), hidden=False)
        store.refresh_below(number)
    return chosen


def comment(store: PageStore, request: Request) -> list[int]:
    """Adds `each` comments; the page's own version and `modified` stay."""
    chosen = _targets(store, request, _current(store))
    for number in chosen:
        page = store.pages[number]
        comments = list(page.more_comments)
        for _ in range(int(request.get("each", 1))):
            comment_id = number * PER_PAGE + 300 + len(comments)
            text = store.content.prose.text(b"new-comment", comment_id, most=2)
            inline = bool(request.get("inline", False))
            comments.append(PageComment(comment_id, 0, inline, 0, store.clock.now(), 1, text))
        store.edit(number, more_comments=tuple(comments))
    return chosen


def attach(store: PageStore, request: Request) -> list[int]:
    chosen = _targets(store, request, _current(store))
    for number in chosen:
        page = store.pages[number]
        index, now = len(store.content.attachments(page)) + 100, store.clock.now()
        attachment_id = number * PER_PAGE + FIRST_ATTACHMENT + index
        file = PageAttachment(attachment_id, f"{index}-new.bin", "application/octet-stream", 12_345, 0, now, 1, now, 0)
        store.edit(number, more_attachments=(*page.more_attachments, file))
    return chosen


def attach_version(store: PageStore, request: Request) -> list[int]:
    """The first attachment gets new bytes under the same id."""
    chosen = _targets(store, request, lambda p: _current(store)(p) and p.attachments > 0)
    for number in chosen:
        page = store.pages[number]
        old = store.content.attachment(page, 0)
        new = PageAttachment(
            old.id,
            old.title,
            old.kind,
            old.size + 7,
            0,
            store.clock.now(),
            old.version + 1,
            old.first,
            old.creator,
            salt=1,
        )
        others = tuple(a for a in page.more_attachments if a.id != old.id)
        store.edit(number, more_attachments=(*others, new))
    return chosen


def label(store: PageStore, request: Request) -> list[int]:
    """Adds a label; `modified` stays."""
    chosen = _targets(store, request, _current(store))
    wanted = LABELS.index(str(request.get("label", LABELS[0])))
    for number in chosen:
        store.edit(number, labels=tuple(sorted({*store.pages[number].labels, wanted})))
    return chosen


def poison(store: PageStore, request: Request) -> list[int]:
    return _edit_each(store, request, _current(store), poison=True)


def cure(store: PageStore, request: Request) -> list[int]:
    return _edit_each(store, request, lambda p: p.poison or p.storage_fails, poison=False, storage_fails=False)


def create_space(store: PageStore, request: Request) -> list[int]:
    index = len(store.spaces)
    now = store.clock.now()
    space = Space(
        index,
        32_768 + index,
        str(request["space"]),
        str(request.get("name", request["space"])),
        "global",
        0,
        now - DAY_MS,
    )
    store.spaces.append(space)
    home = Page(store.next_id, index, "page", now, now, 0, 0, 1, now, title=f"{space.name} Home")
    store.next_id += 1
    space.homepage = home.id
    store.put(home)
    return [space.id]


def archive_space(store: PageStore, request: Request) -> list[int]:
    space = _space(store, request)
    space.archived = not request.get("undo", False)
    store.search_revision += 1
    return [space.id]


OPERATIONS: dict[str, Callable[[PageStore, Request], list[int]]] = {
    f.__name__.replace("_", "-"): f
    for f in (
        create, edit, rename, reparent, move, trash, restore, archive, purge, restrict, unrestrict, comment, attach,
        attach_version, label, poison, cure, create_space, archive_space,
    )
}  # fmt: skip
