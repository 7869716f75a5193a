"""Confluence Cloud v2, the tree: ancestors, children, descendants, and the containers that are no pages."""

from collections.abc import Callable
from typing import Any

from ingest_ray.simulators.atlassian.confluence.content_json import Json
from ingest_ray.simulators.atlassian.confluence.page import Container, Page
from ingest_ray.simulators.atlassian.confluence.v2.pages import ConfluenceV2Pages
from ingest_ray.simulators.atlassian.content.clock import spell_utc
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, reply, route


class ConfluenceV2Tree(ConfluenceV2Pages):
    # The tree.

    @route("GET ~/api/v2/pages/{id}/ancestors", "GET ~/api/v2/folders/{id}/ancestors", "GET ~/api/v2/whiteboards/{id}/ancestors",
           "GET ~/api/v2/databases/{id}/ancestors", "GET ~/api/v2/embeds/{id}/ancestors")  # fmt: skip
    def v2_ancestors(self, call: Call) -> Reply:
        """Top to bottom, without a cursor: where `limit` cuts, the topmost are missing. Folders are left out
        (https://jira.atlassian.com/browse/CONFCLOUD-82920): only `parentType` tells that one is above."""
        chain = [n for n in self.store.ancestors(self._thing(call)) if n not in self.store.containers]
        sent = chain[-self.limit(call) :]
        return self.multi_plain([{"id": str(n), "type": self._type_of(n)} for n in sent])

    def _type_of(self, number: int) -> str:
        container = self.store.containers.get(number)
        return container.kind if container is not None else "page"

    def _node(self, number: int) -> Json | None:
        thing: Page | Container | None = self.store.find(str(number)) or self.store.containers.get(number)
        if thing is None or (isinstance(thing, Page) and thing.status not in ("current", "archived")):
            return None
        title = self.content.title(thing) if isinstance(thing, Page) else thing.title
        status = thing.status if isinstance(thing, Page) else "current"
        document: Json = {"id": str(number), "status": status, "title": title, "type": self._type_of(number)}
        return document | {"childPosition": thing.position if isinstance(thing, Page) else None}

    @route("GET ~/api/v2/pages/{id}/direct-children", "GET ~/api/v2/folders/{id}/direct-children",
           "GET ~/api/v2/whiteboards/{id}/direct-children", "GET ~/api/v2/databases/{id}/direct-children",
           "GET ~/api/v2/embeds/{id}/direct-children")  # fmt: skip
    def v2_direct_children(self, call: Call) -> Reply:
        keys: dict[str, Callable[[Json], Any]] = {
            "id": lambda n: int(n["id"]),
            "child-position": lambda n: (n["childPosition"] or 0, int(n["id"])),
            "created-date": lambda n: int(n["id"]),
            "modified-date": lambda n: int(n["id"]),
        }
        nodes = self.children_of(self._thing(call).id)
        return self.by_offset(call, self.in_order(call, nodes, keys, "id"), lambda n: n)

    def children_of(self, number: int) -> list[Json]:
        parent = self.store.containers.get(number) or self.store.pages[number]
        space = str(self.store.spaces[parent.space].id)
        nodes = (self._node(i) for i in sorted(self.store.children.get(number, ())))
        return [n | {"spaceId": space} for n in nodes if n is not None]

    def _thing(self, call: Call) -> Page | Container:
        """The page or container of the path."""
        kind = call.path.removeprefix(f"{self.root}/api/v2/").partition("/")[0].removesuffix("s")
        return self.v2_page(call) if kind == "page" else self._container_of(call, kind)

    @route("GET ~/api/v2/pages/{id}/children")
    def v2_children(self, call: Call) -> Reply:
        page = self.v2_page(call)
        space = str(self.store.spaces[page.space].id)
        nodes = [
            n
            for i in sorted(self.store.children.get(page.id, ()))
            if (n := self._node(i)) is not None and n["type"] == "page"
        ]
        return self.by_offset(call, nodes, lambda n: {k: v for k, v in n.items() if k != "type"} | {"spaceId": space})

    @route("GET ~/api/v2/pages/{id}/descendants", "GET ~/api/v2/folders/{id}/descendants",
           "GET ~/api/v2/whiteboards/{id}/descendants", "GET ~/api/v2/databases/{id}/descendants",
           "GET ~/api/v2/embeds/{id}/descendants")  # fmt: skip
    def v2_descendants(self, call: Call) -> Reply:
        top, depth = self._thing(call), call.integer("depth", 5)
        if not 1 <= depth <= 10:
            raise self.v2_refuse(400, "depth must be between 1 and 10")
        matches: list[Json] = []
        level = [top.id]
        for number in range(1, depth + 1):
            below = [(c, parent) for parent in level for c in sorted(self.store.children.get(parent, ()))]
            matches += [
                n | {"parentId": str(parent), "depth": number}
                for c, parent in below
                if (n := self._node(c)) is not None
            ]
            level = [c for c, _ in below]
        return self.by_offset(call, matches, lambda n: n)

    def _container_of(self, call: Call, kind: str) -> Container:
        container = self.store.containers.get(int(call.params["id"])) if call.params["id"].isdecimal() else None
        if container is None or container.kind != kind:
            raise self.v2_refuse(404, "Not Found")
        self.v2_check(self.store.spaces[container.space])
        return container

    def _container(self, call: Call, kind: str) -> Reply:
        container = self._container_of(call, kind)
        author, space = self.store.people[container.author].account_id, self.store.spaces[container.space]
        document: Json = {
            "id": str(container.id),
            "type": kind,
            "status": "current",
            "title": container.title,
            "spaceId": str(space.id),
        }
        document |= {
            "parentId": str(container.parent),
            "parentType": self._type_of(container.parent),
            "position": 0,
            "authorId": author,
        }
        document |= {"ownerId": author, "createdAt": spell_utc(container.created)}
        document["version"] = {
            "number": 1,
            "message": "",
            "minorEdit": False,
            "authorId": author,
            "createdAt": spell_utc(container.created),
        }
        if kind == "embed":
            document["embedUrl"] = f"https://example.com/board/{container.id}"
        document["_links"] = {"webui": f"/spaces/{space.key}/{kind}/{container.id}", "base": f"{self.site}/wiki"}
        return reply(self.with_included(call, document, direct_children=self.children_of(container.id)))

    @route("GET ~/api/v2/folders/{id}")
    def v2_folder(self, call: Call) -> Reply:
        return self._container(call, "folder")

    @route("GET ~/api/v2/whiteboards/{id}")
    def v2_whiteboard(self, call: Call) -> Reply:
        return self._container(call, "whiteboard")

    @route("GET ~/api/v2/databases/{id}")
    def v2_database(self, call: Call) -> Reply:
        return self._container(call, "database")

    @route("GET ~/api/v2/embeds/{id}")
    def v2_embed(self, call: Call) -> Reply:
        return self._container(call, "embed")
