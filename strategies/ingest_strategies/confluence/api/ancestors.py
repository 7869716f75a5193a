"""Walks up the tree of Cloud by parents: listings of ancestors, of v1 and v2, leave folders out, and only a page's own `parentType`
tells that one is above it. https://jira.atlassian.com/browse/CONFCLOUD-82920
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from ingest_ray.http.errors import BrokenAnswer, NotThere
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.atlassian.site_client import chunked
from ingest_strategies.confluence.api.client import ConfluenceClient
from ingest_strategies.confluence.api.contract import NONCURRENT, Ancestors

MOST = 250  # ids of one request
DEEPEST = 1_000
STATUSES = ",".join(("current", *NONCURRENT))
"""Of pages."""
CONTAINERS = {"folder": "folders", "whiteboard": "whiteboards", "database": "databases", "embed": "embeds"}


class Node(Struct, gc=False):
    id: str
    parentId: str | None = None
    parentType: str | None = None


_node = decoder(Node)


@dataclass
class AncestorWalk:
    """Of one slice. Each page's parent is requested once."""

    client: ConfluenceClient
    nodes: dict[str, Node] = field(default_factory=dict)

    def load(self, ids: Sequence[str]) -> None:
        """The pages of these ids, then their parents, level by level. What fails is requested by itself later."""
        wanted = [number for number in ids if number not in self.nodes]
        while wanted:
            found: list[Node] = []
            for chunk in chunked(wanted, MOST):
                found += self._read_many(chunk)
            self.nodes |= {node.id: node for node in found}
            above = {node.parentId for node in found if node.parentType == "page" and node.parentId}
            wanted = sorted(above - self.nodes.keys())

    def _read_many(self, ids: Sequence[str]) -> list[Node]:
        params = {"id": ",".join(ids), "status": STATUSES, "limit": MOST}
        try:
            bodies = self.client.read_page("api/v2/pages", params).results
        except (BrokenAnswer, NotThere):
            return []
        return [node for body in bodies if (node := attempted(_node, body)) is not None]

    def list_above(self, number: str) -> Ancestors:
        """Raises `NotThere` for a page, or one above it, that cannot be seen."""
        pages, containers = list[str](), list[str]()
        node = self._read_page(number)
        for _ in range(DEEPEST):
            kind, parent = node.parentType, node.parentId
            if kind is None or parent is None:
                return Ancestors(tuple(reversed(pages)), tuple(containers))
            if kind == "page":
                pages.append(parent)
                node = self._read_page(parent)
            else:
                containers.append(f"{kind} {parent}")
                node = self._read_container(kind, parent)
        raise SourceUnavailable(f"content {number} has more than {DEEPEST} ancestors")

    def _read_page(self, number: str) -> Node:
        if number not in self.nodes:
            try:
                self.nodes[number] = self.client.get(f"api/v2/pages/{number}", _node)
            except NotThere:
                self.nodes[number] = self.client.get(f"api/v2/blogposts/{number}", _node)  # a post has no parent
        return self.nodes[number]

    def _read_container(self, kind: str, number: str) -> Node:
        """One of a kind that is not known has nothing above it that could be told: it is refused like the others."""
        key = f"{kind} {number}"
        if key not in self.nodes:
            path = CONTAINERS.get(kind)
            self.nodes[key] = self.client.get(f"api/v2/{path}/{number}", _node) if path else Node(number)
        return self.nodes[key]
