"""The v1 endpoints below one content that both deployments serve: children and descendants by type."""

from collections.abc import Callable
from typing import Any

from ingest_ray.simulators.atlassian.confluence.content_json import Json
from ingest_ray.simulators.atlassian.confluence.page import Page
from ingest_ray.simulators.atlassian.confluence.search import container_hit
from ingest_ray.simulators.atlassian.confluence.v1_endpoints import ConfluenceV1
from ingest_ray.simulators.atlassian.query.cql import CONTAINERS
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, reply, route

Shown = tuple[Any, Callable[[Any], Json]]


class ConfluenceV1Children(ConfluenceV1):
    @property
    def child_types(self) -> tuple[str, ...]:
        """Data Center has no folders, whiteboards, databases or embeds."""
        return ("page", "comment", "attachment", *(CONTAINERS if self.cloud else ()))

    @route("GET ~/rest/api/content/{id}/child")
    def child_kinds(self, call: Call) -> Reply:
        return self._kinds_below(call, "child", direct=True)

    @route("GET ~/rest/api/content/{id}/descendant")
    def descendant_kinds(self, call: Call) -> Reply:
        return self._kinds_below(call, "descendant", direct=False)

    def _kinds_below(self, call: Call, name: str, *, direct: bool) -> Reply:
        """Each type where it is expanded, with at most 25 of it; otherwise where to find it."""
        page, expand = self.page_of(call), self.expand_of(call)
        document: Json = {}
        for kind in self.child_types:
            if kind in expand:
                inner = {each.removeprefix(f"{kind}.") for each in expand if each.startswith(f"{kind}.")}
                found = self._below(page, kind, inner, direct=direct)
                sent = [make(each) for each, make in found[:25]]
                document[kind] = {"results": sent, "start": 0, "limit": 25, "size": len(sent), "_links": {}}
        missing = [kind for kind in self.child_types if kind not in document]
        document["_expandable"] = {kind: f"/rest/api/content/{page.id}/{name}/{kind}" for kind in missing}
        links = {"self": f"{self.site}{call.path}", "base": f"{self.site}{self.root}", "context": self.root}
        return reply(document | {"_links": links})

    @route("GET ~/rest/api/content/{id}/child/{type}")
    def children_of_type(self, call: Call) -> Reply:
        return self._of_type(call, direct=True)

    @route("GET ~/rest/api/content/{id}/descendant/{type}")
    def descendants_of_type(self, call: Call) -> Reply:
        return self._of_type(call, direct=False)

    def _of_type(self, call: Call, *, direct: bool) -> Reply:
        page, kind = self.page_of(call), call.params["type"]
        if kind not in self.child_types:
            raise self.refuse(400, f"unsupported type {kind}")
        found = self._below(page, kind, self.expand_of(call), direct=direct)
        return self.array(call, found, lambda each: each[1](each[0]))

    def _below(self, page: Page, kind: str, expand: set[str], *, direct: bool) -> list[Shown]:
        store = self.store
        if kind == "comment":
            return [(each, lambda c: self.comment_json(page, c, expand)) for each in self.content.comments(page)]
        if kind == "attachment":
            return [(each, lambda a: self.attachment_json(page, a, expand)) for each in self.content.attachments(page)]
        below = sorted(store.children.get(page.id, ())) if direct else store.descendants(page.id)
        if kind == "page":
            pages = (found for number in below if (found := store.find(str(number))) is not None)
            return [(each, lambda p: self.content_json(p, expand)) for each in pages if each.status == "current"]
        containers = [store.containers[number] for number in below if number in store.containers]
        return [
            (container_hit(each).page, lambda p: self.content_json(p, expand))
            for each in containers
            if each.kind == kind
        ]
