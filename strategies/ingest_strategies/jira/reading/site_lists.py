"""Reads the lists of a site that are no issues: of the whole site, of a project, of a board, or of a field.

A segment is `all`, a project's key, `board <id>` or a field's id.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Raw, Struct

from ingest_ray.http.errors import BadRequest, BrokenAnswer, NotThere
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_strategies.atlassian.deployment import CLOUD
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.jira.api.client import Api
from ingest_strategies.jira.api.listing_pages import list_issues, list_values
from ingest_strategies.jira.api.responses import Person
from ingest_strategies.jira.list_tables import (
    BOARDS,
    COMPONENTS,
    FIELD_OPTIONS,
    FILTERS,
    GROUP_MEMBERS,
    GROUPS,
    PERMISSION_GRANTS,
    PROJECT_ROLES,
    SECURITY_LEVELS,
    SPRINT_ISSUES,
    SPRINTS,
    STATUS_CATEGORIES,
    VERSIONS,
)
from ingest_strategies.jira.reading.rows import Item
from ingest_strategies.jira.tables import LISTS, PROJECTS, USERS

AGILE = "/rest/agile/1.0"
MOST_GROUPS = 10_000  # of Data Center's picker, which has no pages
FILTER_PARTS = "description,owner,jql,favourite,sharePermissions,viewUrl"


class Named(Struct, gc=False):
    id: str | int | None = None
    key: str | None = None
    name: str | None = None
    type: str | None = None
    groupId: str | None = None
    originBoardId: int | None = None


class ActorUser(Struct, gc=False):
    accountId: str | None = None
    key: str | None = None


class ActorGroup(Struct, gc=False):
    groupId: str | None = None
    name: str | None = None


class Actor(Struct, gc=False):
    """Data Center of older versions has only `name`, of a user or a group, and the type."""

    type: str | None = None
    name: str | None = None
    actorUser: ActorUser | None = None
    actorGroup: ActorGroup | None = None

    def principal(self, api: Api) -> str | None:
        """None where it cannot be told."""
        if self.type == "atlassian-group-role-actor":
            group = self.actorGroup or ActorGroup()
            number = group.groupId or group.name or self.name
            return f"group:{number}" if number else None
        if self.type != "atlassian-user-role-actor":
            return None
        user = self.actorUser or ActorUser()
        number = user.accountId or user.key or (user_key(api, self.name) if self.name else None)
        return f"user:{number}" if number else None


class Role(Struct, gc=False):
    name: str | None = None
    actors: list[Actor | None] | None = None


class Grants(Struct, gc=False):
    id: int | str | None = None
    name: str | None = None
    permissions: list[Raw] | None = None


class Levels(Struct, gc=False):
    levels: list[Raw] | None = None


class LevelMember(Struct, gc=False):
    holder: Raw


class OptionPage(Struct, gc=False):
    options: list[Raw] | None = None
    total: int | None = None


class GroupPage(Struct, gc=False):
    groups: list[Raw]
    total: int | None = None


_named, _role, _grants, _levels = decoder(Named), decoder(Role), decoder(Grants), decoder(Levels)
_member, _options, _groups = decoder(LevelMember), decoder(OptionPage), decoder(GroupPage)
_raws, _links, _person = decoder(list[Raw]), decoder(dict[str, str]), decoder(Person)
Listing = Callable[[Api, str], Iterator[Item]]


def named(body: Raw) -> Named:
    found: Named = attempted(_named, body, Named())
    return found


def read_list(api: Api, name: str, segment: str) -> Iterator[Item]:
    """Every object of one segment. What went away since the segments were listed has none; a refusal is raised."""
    try:
        yield from LISTINGS[name](api, segment)
    except NotThere:
        api.client.read_account()  # the login is good: it is gone


# Of the site.


def list_status_categories(api: Api, segment: str) -> Iterator[Item]:
    yield from (Item(body, {}) for body in api.client.list_objects("statuscategory"))


def list_filters(api: Api, segment: str) -> Iterator[Item]:
    """Data Center lists the account's own favourites only."""
    if api.deployment == CLOUD:
        bodies = list_values(api.client, "filter/search", {"expand": FILTER_PARTS, "orderBy": "id"})
    else:
        bodies = iter(api.client.get("filter/favourite", _raws))
    yield from (Item(body, {}) for body in bodies)


def list_groups(api: Api, segment: str = "all") -> Iterator[Item]:
    """Raises `SourceUnavailable` where Data Center's picker gives fewer than there are."""
    if api.deployment == CLOUD:
        bodies = list(list_values(api.client, "group/bulk", {}, most=50))
    else:
        page = api.client.get("groups/picker", _groups, {"query": "", "maxResults": MOST_GROUPS})
        bodies = page.groups
        if page.total is not None and len(bodies) < page.total:
            raise SourceUnavailable(f"groups/picker gives {len(bodies)} of {page.total} groups")
    for body in bodies:
        group = named(body)
        yield Item(body, {"group.id": group.groupId or group.name, "group.name": group.name})


def list_group_members(api: Api, segment: str) -> Iterator[Item]:
    groups = list_groups(api)

    def members(group: Item) -> list[Item]:
        return [Item(body, group.context) for body in list_members(api, group.context)]

    for found in api.client.map_concurrently(members, groups):
        yield from found


def list_members(api: Api, group: Mapping[str, Any]) -> list[Raw]:
    """The accounts of a group, inactive ones included. A group that was deleted meanwhile has none."""
    params = {"groupId": group["group.id"]} if api.deployment == CLOUD else {"groupname": group["group.id"]}
    try:
        return list(list_values(api.client, "group/member", {**params, "includeInactiveUsers": "true"}, most=50))
    except NotThere:
        return []


def list_boards(api: Api, segment: str = "all") -> Iterator[Item]:
    yield from (Item(body, {}) for body in list_values(api.client, f"{AGILE}/board", {}, most=50))


# Of a project.


def of_project(api: Api, key: str) -> dict[str, Any]:
    project = api.client.get(f"project/{key}", _named)
    return {"project.id": str(project.id), "project.key": project.key or key}


def list_versions(api: Api, key: str) -> Iterator[Item]:
    project = of_project(api, key)
    yield from (Item(body, project) for body in list_values(api.client, f"project/{key}/version", {}, most=50))


def list_components(api: Api, key: str) -> Iterator[Item]:
    project = of_project(api, key)
    yield from (Item(body, project) for body in api.client.get(f"project/{key}/components", _raws))


def list_roles(api: Api, key: str) -> Iterator[Item]:
    project = of_project(api, key)
    numbers = [url.rpartition("/")[2] for url in api.client.get(f"project/{key}/role", _links).values()]
    for body in api.client.map_concurrently(
        lambda number: api.client.get(f"project/{key}/role/{number}", decoder(Raw)), iter(numbers)
    ):
        yield Item(body, project | {"role.members": role_members(api, body)})


def user_key(api: Api, username: str) -> str | None:
    """Of Data Center, which names users by key everywhere else. None for a user who is there no more."""
    try:
        return api.client.get("user", _person, {"username": username}).id
    except NotThere:
        return None


def role_members(api: Api, body: Raw) -> list[str] | None:
    """None where an actor is odd: the members are then not known."""
    role = attempted(_role, body)
    principals = [actor.principal(api) if actor else None for actor in (role.actors or ())] if role else [None]
    return None if None in principals else sorted({principal for principal in principals if principal})


def list_grants(api: Api, key: str) -> Iterator[Item]:
    project = of_project(api, key)
    scheme = api.client.get(f"project/{key}/permissionscheme", _grants, {"expand": "all"})
    context = project | {"scheme.id": str(scheme.id), "scheme.name": scheme.name}
    yield from (Item(body, context) for body in scheme.permissions or ())


def list_security_levels(api: Api, key: str) -> Iterator[Item]:
    project = of_project(api, key)
    for body in api.client.get(f"project/{key}/securitylevel", _levels).levels or ():
        holders = level_holders(api, str(named(body).id))
        joined = b"[" + b",".join(map(bytes, holders)) + b"]" if holders is not None else None
        yield Item(body, project | {"level.members": joined})


def level_holders(api: Api, level_id: str) -> list[Raw] | None:
    """The members of a security level. None on Data Center, whose API does not tell."""
    if api.deployment != CLOUD:
        return None
    bodies = list_values(
        api.client, "issuesecurityschemes/level/member", {"levelId": level_id, "expand": "all"}, most=50
    )
    return [_member(body).holder for body in bodies]


# Of a field.


def list_field_options(api: Api, field_id: str) -> Iterator[Item]:
    if api.deployment != CLOUD:
        yield from _list_options_of_data_center(api, field_id)
        return
    for body in list_values(api.client, f"field/{field_id}/context", {}, most=50):
        found = named(body)
        context = {"field.id": field_id, "context.id": str(found.id), "context.name": found.name}
        rest = f"field/{field_id}/context/{found.id}/option"
        yield from (Item(option, context) for option in list_values(api.client, rest, {}))


def _list_options_of_data_center(api: Api, field_id: str) -> Iterator[Item]:
    rest, seen, page_number = f"customFields/{field_id.removeprefix('customfield_')}/options", 0, 1
    while True:
        page = api.client.get(rest, _options, {"page": page_number, "maxResults": 100})
        options = page.options or []
        yield from (Item(body, {"field.id": field_id, "context.id": "", "context.name": None}) for body in options)
        seen, page_number = seen + len(options), page_number + 1
        if seen >= (page.total or 0):
            return
        if not options:
            raise BrokenAnswer(f"{rest}: {seen} of {page.total} options came, then an empty page")


# Of a board.


def board_number(segment: str) -> str:
    return segment.removeprefix("board ")


def list_sprints(api: Api, segment: str) -> Iterator[Item]:
    """The sprints that were made on a board. Other boards list some of them, too, and so does this one those of others: a sprint
    belongs to the board that it was made on, or, where the account does not see that one, to the first board that lists it."""
    own = board_number(segment)
    boards = {str(named(item.body).id) for item in list_boards(api)}
    for body in board_sprints(api, own):
        origin = named(body).originBoardId
        if origin is None or str(origin) == own or (str(origin) not in boards and _is_first(api, boards, own, body)):
            yield Item(body, {})


def _is_first(api: Api, boards: set[str], own: str, sprint: Raw) -> bool:
    """Whether no board with a lower id lists a sprint."""
    number = named(sprint).id
    lower = sorted((board for board in boards if board.isdecimal() and int(board) < int(own)), key=int)
    return not any(named(body).id == number for board in lower for body in board_sprints(api, board))


def board_sprints(api: Api, board: str) -> list[Raw]:
    """None of a board without sprints: kanban boards answer 400."""
    try:
        return list(list_values(api.client, f"{AGILE}/board/{board}/sprint", {}, most=50))
    except BadRequest:
        kind = named(api.client.http.get(f"{AGILE}/board/{board}", decoder(Raw))).type
        if kind == "scrum":
            raise
        return []


def list_sprint_issues(api: Api, segment: str) -> Iterator[Item]:
    sprints = [named(item.body) for item in list_sprints(api, segment)]
    read = partial(list_issues, api.client)
    pages = api.client.map_concurrently(lambda sprint: read(f"{AGILE}/sprint/{sprint.id}/issue"), iter(sprints))
    for sprint, bodies in zip(sprints, pages, strict=True):
        context = {"sprint.id": str(sprint.id), "sprint.name": sprint.name}
        yield from (Item(body, context) for body in bodies)


def _bodies_of(list_bodies: Callable[[Api], Iterator[Raw]]) -> Listing:
    return lambda api, segment: (Item(body, {}) for body in list_bodies(api))


def _list_of(rest: str) -> Listing:
    return _bodies_of(lambda api: iter(api.list_objects(rest)))


LISTINGS: dict[str, Listing] = {
    PROJECTS.name: _bodies_of(lambda api: api.list_projects()),
    USERS.name: _bodies_of(lambda api: api.list_users()),
    **{name: _list_of(rest) for name, rest in LISTS.items()},
    STATUS_CATEGORIES.name: list_status_categories,
    FILTERS.name: list_filters,
    GROUPS.name: list_groups,
    GROUP_MEMBERS.name: list_group_members,
    VERSIONS.name: list_versions,
    COMPONENTS.name: list_components,
    PROJECT_ROLES.name: list_roles,
    PERMISSION_GRANTS.name: list_grants,
    SECURITY_LEVELS.name: list_security_levels,
    FIELD_OPTIONS.name: list_field_options,
    BOARDS.name: list_boards,
    SPRINTS.name: list_sprints,
    SPRINT_ISSUES.name: list_sprint_issues,
}


def read_all(api: Api, name: str, segments: Iterable[str]) -> Iterator[list[Item]]:
    """Every object of a list, segment by segment."""
    for segment in segments:
        yield list(read_list(api, name, segment))


def list_segments(api: Api, reads: str, project_keys: Callable[[], list[str]], fields: Sequence[str]) -> list[str]:
    """Of a table that is read whole. `fields`: ids of the fields that have options."""
    match reads:
        case "project":
            return project_keys()
        case "board":
            return [f"board {named(item.body).id}" for item in list_boards(api)]
        case "field":
            return list(fields)
        case _:
            return ["all"]
