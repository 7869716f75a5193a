"""Confluence Cloud v2, the pages: ids by the hundred, bodies on request, versions, and no filter by date."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from ingest_ray.simulators.atlassian.confluence import page_extras
from ingest_ray.simulators.atlassian.confluence.content_json import Json
from ingest_ray.simulators.atlassian.confluence.page import LABELS, Page
from ingest_ray.simulators.atlassian.confluence.v2.listing import MOST, ConfluenceV2Listing
from ingest_ray.simulators.atlassian.content.clock import spell_utc
from ingest_ray.simulators.atlassian.content.rich_text import adf, storage, view
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, encode, reply, route

FIRST_OLD = 1000


def old_revision(number: int) -> int:
    """The revision of the text of an old version: another text than that of any edit."""
    return FIRST_OLD + number


_SORTS = {"id": "id", "created-date": "created", "modified-date": "modified"}


class ConfluenceV2Pages(ConfluenceV2Listing):
    # Pages and blog posts.

    def _pages(
        self, call: Call, spaces: Sequence[int], kind: str, keep: Callable[[Page], bool] = lambda p: True
    ) -> Reply:
        limit, statuses = self.limit(call), self._statuses(call, kind)
        form, title = self.body_format(call), call.parameter("title")
        if call.parameter("subtype") == "live":  # no page of this site is a live document
            return self.multi(call, [], None)
        sort = call.parameter("sort", "id")
        down, name = sort.startswith("-"), sort.lstrip("-")
        position, _ = self.cursor(call)
        if name == "title":
            ordered: Iterable[tuple[Any, int]] = self._by_title(spaces, position, down)
        elif name in _SORTS:
            at = (int(position[0]), int(position[1])) if position else None
            ordered = self.store.orders.entries_after(spaces, _SORTS[name], at, down=down)
        else:
            raise self.v2_refuse(400, f"Invalid sort parameter: {sort}")
        pages, store = self.store.pages, self.store

        def suits(entry: tuple[Any, int]) -> bool:
            page = pages[entry[1]]
            return (
                page.kind == kind and page.status in statuses and store.visible(page) and keep(page)
                and (not title or self.content.title(page) == title)
            )  # fmt: skip

        entries = list(islice(filter(suits, ordered), limit + 1))
        chosen = [pages[i] for _, i in entries[:limit]]
        more = list(entries[limit - 1]) if len(entries) > limit else None
        return self.multi(call, self.page_list(chosen, form), more)

    def _statuses(self, call: Call, kind: str) -> set[str]:
        return set(call.parameters("status") or (["current", "archived"] if kind == "page" else ["current"]))

    def _by_title(self, spaces: Sequence[int], position: list[Any] | None, down: bool) -> Iterable[tuple[str, int]]:
        ids = self.store.orders.between(spaces, "id", 0, 1 << 60)
        entries = sorted(((self.content.title(self.store.pages[i]), i) for i in ids), reverse=down)
        if position is None:
            return entries
        at = (str(position[0]), int(position[1]))
        return (e for e in entries if (e < at if down else e > at))

    def body_format(self, call: Call, *, single: bool = False) -> str:
        form = call.parameter("body-format")
        allowed = (
            "",
            "storage",
            "atlas_doc_format",
            *(("view", "export_view", "anonymous_export_view", "styled_view", "editor") if single else ()),
        )
        if form not in allowed:
            raise self.v2_refuse(400, f"Invalid body-format: {form}")
        return form

    def page_list(self, pages: list[Page], form: str) -> list[Json]:
        if form:
            self.check_bodies(pages, storage_too=form == "storage")
        return [self.page_v2(p, form) for p in pages]

    def page_v2(self, page: Page, form: str) -> Json:
        people, key = self.store.people, self.store.spaces[page.space].key
        document: Json = {
            "id": str(page.id),
            "status": page.status,
            "title": self.content.title(page),
            "spaceId": str(self.store.spaces[page.space].id),
            "authorId": people[page.author].account_id,
            "createdAt": spell_utc(page.created),
            "version": self.version_v2(page, page.version),
            "body": {},
            "_links": {
                "webui": f"/spaces/{key}/pages/{page.id}",
                "editui": f"/pages/resumedraft.action?draftId={page.id}",
                "tinyui": f"/x/{page.id:x}",
            },
        }
        if page.kind == "page":
            document |= {
                "ownerId": people[page.author].account_id,
                "lastOwnerId": None,
                "position": page.position,
                "subtype": None,
            }
            document |= {"parentId": str(page.parent) if page.parent else None, "parentType": self._parent_type(page)}
        if form:
            document["body"] = {form: {"value": self.body_value(page, form), "representation": form}}
        return document

    def body_value(self, page: Page, form: str) -> str:
        text = self.content.body(page)
        if form == "storage":
            return storage(text, cloud=True)
        return encode(adf(text)).decode() if form == "atlas_doc_format" else view(text)

    def _parent_type(self, page: Page) -> str | None:
        container = self.store.containers.get(page.parent)
        return container.kind if container is not None else "page" if page.parent else None

    def version_v2(self, page: Page, number: int) -> Json:
        at, author, message = self.content.version_at(page, number)
        document: Json = {"number": number, "message": message, "minorEdit": False}
        return document | {"authorId": self.store.people[author].account_id, "createdAt": spell_utc(at)}

    def _by_ids(self, call: Call, kind: str) -> Reply:
        ids = call.parameters("id")
        if len(ids) > MOST:
            raise self.v2_refuse(400, f"Cannot provide more than {MOST} ids.")
        limit, statuses = self.limit(call), self._statuses(call, kind)
        position, _ = self.cursor(call)
        after = int(position[1]) if position else 0
        readable = set(self.readable_spaces())
        matches = sorted(
            {p.id: p for i in ids if (p := self.store.find(i)) is not None and p.kind == kind and p.status in statuses and p.space in readable}.values(),
            key=lambda p: p.id,
        )  # fmt: skip
        matches = [p for p in matches if p.id > after]
        more = [matches[limit - 1].id, matches[limit - 1].id] if len(matches) > limit else None
        return self.multi(call, self.page_list(matches[:limit], self.body_format(call)), more)

    def _site_wide(self, call: Call, kind: str) -> Reply:
        if call.parameters("id"):
            return self._by_ids(call, kind)
        return self._pages(call, self._wanted_spaces(call), kind)

    def _wanted_spaces(self, call: Call) -> list[int]:
        wanted = set(call.parameters("space-id"))
        if len(wanted) > 100:
            raise self.v2_refuse(400, "Cannot provide more than 100 space ids.")
        readable = set(self.readable_spaces())
        return [s.index for s in self.store.spaces if s.index in readable and (not wanted or str(s.id) in wanted)]

    @route("GET ~/api/v2/pages")
    def v2_pages(self, call: Call) -> Reply:
        return self._site_wide(call, "page")

    @route("GET ~/api/v2/blogposts")
    def v2_blogposts(self, call: Call) -> Reply:
        return self._site_wide(call, "blogpost")

    @route("GET ~/api/v2/spaces/{id}/pages")
    def v2_space_pages(self, call: Call) -> Reply:
        space = self.v2_space(call.params["id"])
        root = call.parameter("depth") == "root"
        return self._pages(call, [space.index], "page", lambda p: not root or not p.parent)

    @route("GET ~/api/v2/spaces/{id}/blogposts")
    def v2_space_blogposts(self, call: Call) -> Reply:
        return self._pages(call, [self.v2_space(call.params["id"]).index], "blogpost")

    @route("GET ~/api/v2/labels/{id}/pages")
    def v2_label_pages(self, call: Call) -> Reply:
        return self._labelled(call, "page")

    @route("GET ~/api/v2/labels/{id}/blogposts")
    def v2_label_blogposts(self, call: Call) -> Reply:
        return self._labelled(call, "blogpost")

    def _labelled(self, call: Call, kind: str) -> Reply:
        number = self.label_number(call)
        spaces = self._wanted_spaces(call)
        return self._pages(call, spaces, kind, lambda p: number in p.labels)

    def label_number(self, call: Call) -> int:
        number = int(call.params["id"]) - 500_000 if call.params["id"].isdecimal() else -1
        if not 0 <= number < len(LABELS):
            raise self.v2_refuse(404, "Not Found")
        return number

    @route("GET ~/api/v2/pages/{id}")
    def v2_one_page(self, call: Call) -> Reply:
        return self._single(call, "page")

    @route("GET ~/api/v2/blogposts/{id}")
    def v2_one_blogpost(self, call: Call) -> Reply:
        return self._single(call, "blogpost")

    def _single(self, call: Call, kind: str) -> Reply:
        """Trashed pages are shown; `version` gives an old one; `include-...` adds up to fifty labels, versions or others."""
        page = self.v2_page(call, kind)
        statuses, number = call.parameters("status"), call.integer("version", page.version)
        is_old = number != page.version
        if statuses and page.status not in statuses and not (is_old and "historical" in statuses):
            raise self.v2_refuse(404, "Not Found")
        if not 1 <= number <= page.version:
            raise self.v2_refuse(404, "Not Found")
        form = self.body_format(call, single=True)
        if form:
            self.check_bodies([page], storage_too=form == "storage")
        document = self.page_v2(page, form)
        document.pop("subtype", None)
        if is_old:
            document |= {"status": "historical", "version": self.version_v2(page, number)}
            if form:
                old = self.body_json(page, form, old_revision(number))["value"]
                document["body"] = {form: {"value": old, "representation": form}}
        liked = page_extras.likes(self.content, page)
        document = self.with_included(
            call,
            document,
            labels=[self.label_v2(n) for n in page.labels],
            versions=[self.version_v2(page, n) for n in range(page.version, 0, -1)],
            likes=[{"accountId": self.store.people[n].account_id} for n in liked],
            direct_children=self.children_of(page.id),
        )
        document["_links"] = document["_links"] | {"base": f"{self.site}/wiki"}
        return reply(document)

    def children_of(self, number: int) -> list[Json]:
        raise NotImplementedError

    def label_v2(self, number: int) -> Json:
        return {"id": str(500_000 + number), "name": LABELS[number], "prefix": "global"}

    def labels_v2(self, call: Call, numbers: Sequence[int]) -> Reply:
        """All labels here are global."""
        prefix = call.parameters("prefix")
        sent = [self.label_v2(n) for n in numbers] if not prefix or "global" in prefix else []
        keys: dict[str, Callable[[Json], Any]] = {
            name: lambda each, name=name: each[name] for name in ("id", "name", "prefix")
        } | {"created-date": lambda each: each["id"]}
        return self.by_offset(call, self.in_order(call, sent, keys, "id"), lambda each: each)
