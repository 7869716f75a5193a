"""What Cloud lists space by space or for the whole site: tasks, containers, content of apps, roles, groups and their members."""

from collections.abc import Callable, Iterator

from msgspec import Raw, Struct

from ingest_ray.http.errors import NotThere
from ingest_ray.sdk.errors import SourceDenied
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.confluence.api.ancestors import CONTAINERS, Node
from ingest_strategies.confluence.api.client import ConfluenceClient
from ingest_strategies.confluence.api.contract import NONCURRENT, ListedObject, Space
from ingest_strategies.confluence.api.cql import in_space
from ingest_strategies.confluence.api.pagination import by_cursor, by_offset
from ingest_strategies.confluence.api.responses import ContentRef, GroupV1
from ingest_strategies.confluence.api.search import search_params
from ingest_strategies.confluence.api.space_roles import SpaceRoles

MOST = 250  # of every v2 list
MOST_PEOPLE = 200
STATUSES = ",".join(("current", *NONCURRENT))
_node, _raw, _ref, _group = decoder(Node), decoder(Raw), decoder(ContentRef), decoder(GroupV1)
Container = tuple[str, str]
"""(kind, id)"""


class Parented(Struct, gc=False):
    parentId: str | None = None
    parentType: str | None = None


_parented = decoder(Parented)


class CloudLists:
    def __init__(self, client: ConfluenceClient, roles: SpaceRoles) -> None:
        self.client = client
        self.roles = roles

    def list_objects(self, dataset: str, space: Space | None) -> Iterator[list[ListedObject]]:
        if space is None:
            yield from self.list_groups() if dataset == "confluence.group" else self.list_members()
            return
        lists: dict[str, Callable[[Space], Iterator[list[ListedObject]]]] = {
            "confluence.task": self.list_tasks,
            "confluence.custom_content": self.list_custom_contents,
            "confluence.space_role": self.roles.list_assignments,
        }
        kind = dataset.rpartition(".")[2]
        yield from self.list_containers(kind, space) if kind in CONTAINERS else lists[dataset](space)

    def list_tasks(self, space: Space) -> Iterator[list[ListedObject]]:
        params = {"space-id": space.id, "limit": MOST, "body-format": "storage", "include-blank-tasks": "true"}
        for page in by_cursor(self.client, "api/v2/tasks", params):
            yield [ListedObject(body) for body in page]

    def list_custom_contents(self, space: Space) -> Iterator[list[ListedObject]]:
        for kind in self.client.config.custom_content_types:
            params = {"type": kind, "limit": MOST, "body-format": "raw"}
            for page in by_cursor(self.client, f"api/v2/spaces/{space.id}/custom-content", params):
                yield [ListedObject(body) for body in page]

    def list_groups(self) -> Iterator[list[ListedObject]]:
        yield [ListedObject(body) for body in self._groups()]

    def _groups(self) -> list[Raw]:
        return by_offset(self.client, "rest/api/group", {}, MOST_PEOPLE)

    def list_members(self) -> Iterator[list[ListedObject]]:
        groups = [group for body in self._groups() if (group := attempted(_group, body)) is not None and group.id]
        yield from self.client.map_concurrently(self._members, iter(groups))

    def _members(self, group: GroupV1) -> list[ListedObject]:
        """Of a group that was deleted meanwhile: none."""
        extra = {"group_id": group.id, "group_name": group.name}
        try:
            people = by_offset(self.client, f"rest/api/group/{group.id}/membersByGroupId", {}, MOST_PEOPLE)
        except NotThere:
            return []
        return [ListedObject(body, extra) for body in people]

    # Folders, whiteboards, databases, embeds. No API lists them: search finds some, pages below them name others.

    def list_containers(self, kind: str, space: Space) -> Iterator[list[ListedObject]]:
        seen = {(kind, number) for number in self._searched(kind, space)} | self._above_pages(space)
        waiting = sorted(seen)
        while waiting:
            found = dict(
                zip(
                    waiting,
                    self.client.map_concurrently(lambda each: self._read(kind, each), iter(waiting)),
                    strict=True,
                )
            )
            yield [ListedObject(body) for (own, _), body in found.items() if own == kind and body is not None]
            above = {parent for body in found.values() if body is not None and (parent := parent_of(body)) is not None}
            waiting = sorted(above - seen)
            seen |= above

    def _searched(self, kind: str, space: Space) -> Iterator[str]:
        if kind == "embed":  # search has no such type
            return
        params = search_params(in_space(space.key, (kind,)), limit=MOST)
        for page in by_cursor(self.client, "rest/api/content/search", params):
            yield from (ref.id for body in page if (ref := attempted(_ref, body)) is not None)

    def _above_pages(self, space: Space) -> set[Container]:
        params = {"limit": MOST, "status": STATUSES, "sort": "id"}
        pages = by_cursor(self.client, f"api/v2/spaces/{space.id}/pages", params)
        return {parent for page in pages for body in page if (parent := parent_of(body)) is not None}

    def _read(self, kind: str, container: Container) -> Raw | None:
        """None for one that is gone. One of another kind only leads to those above it: it may be forbidden."""
        own, number = container
        try:
            return self.client.get(f"api/v2/{CONTAINERS[own]}/{number}", _raw)
        except NotThere:
            return None
        except SourceDenied:
            if own == kind:
                raise
            self.client.read_account()
            return None


def parent_of(body: Raw) -> Container | None:
    """The container that a page or container is in; None: it is below a page, or at the top."""
    node = attempted(_parented, body)
    if node is None or node.parentId is None or node.parentType not in CONTAINERS:
        return None
    return node.parentType, node.parentId
