"""Who may read a space: on sites of before as users and groups, on sites with roles by assignments, also to classes of accounts.

Sites that were made since November 2025 have roles only. https://support.atlassian.com/confluence-cloud/docs/manage-user-roles/
"""

from typing import Any

from ingest_ray.simulators.atlassian.confluence.page import Page, Space
from ingest_ray.simulators.atlassian.confluence.page_store import PageStore

ANONYMOUS, LICENSED = "anonymous-users", "all-licensed-users"
VIEWER, MANAGER, WRITER = (f"00000000-0000-4000-8000-00000000000{n}" for n in "abc")
ROLES = {
    VIEWER: ("Viewer", "SYSTEM", ("read/space",)),
    MANAGER: ("Admin", "SYSTEM", ("read/space", "administer/space", "create/page")),
    WRITER: ("Writes blindly", "CUSTOM", ("create/page",)),  # a custom role need not include reading
}


def has_roles(store: PageStore) -> bool:
    return "space-roles" in store.traps


def assignments(store: PageStore, space: Space) -> list[tuple[str, str, str]]:
    """(principal type, `u3`, `g1` or a class, role) of a site with roles."""
    owner = ("USER", f"u{space.author}", MANAGER)
    if space.kind == "personal":
        return [owner]
    match space.index % 4:
        case 0:
            return [owner, ("GROUP", "g0", VIEWER), ("GROUP", "g1", VIEWER)]
        case 1:
            return [owner, ("ACCESS_CLASS", LICENSED, VIEWER)]
        case 2:
            return [owner, ("ACCESS_CLASS", ANONYMOUS, VIEWER)]
        case _:
            return [owner, ("GROUP", "g1", VIEWER), ("GROUP", "g0", WRITER), ("USER", "u4", WRITER)]


def is_anonymous(store: PageStore, space: Space) -> bool:
    every = int(store.traps.number("anonymous-spaces"))
    if every and space.kind != "personal" and space.index % every == 0:
        return True
    return has_roles(store) and ("ACCESS_CLASS", ANONYMOUS, VIEWER) in assignments(store, space)


def may_read(store: PageStore, page: Page, person: int) -> bool:
    """Whether a person with a licence passes the space and every restriction."""
    mine = {f"u{person}", *(f"g{n}" for n, group in enumerate(store.groups) if person in group.members)}
    space = store.spaces[page.space]
    return _may_read_space(store, space, mine) and all(mine & set(names) for _, names in store.readers(page))


def _may_read_space(store: PageStore, space: Space, mine: set[str]) -> bool:
    if is_anonymous(store, space):
        return True
    if has_roles(store):
        return any(role != WRITER and (name in mine or name == LICENSED) for _, name, role in assignments(store, space))
    return f"u{space.author}" in mine or (space.kind != "personal" and bool(mine & {"g0", "g1"}))


def readers_record(store: PageStore, page: Page, names: list[str]) -> dict[str, Any]:
    """`names`: of the people, in their order. Only people with a licence count: others cannot log in."""
    above = store.readers(page)
    is_open = is_anonymous(store, store.spaces[page.space]) and not above
    # Pages with the same space and the same restrictions have the same readers; traps may change them.
    key = (page.space, tuple(sorted(store.traps.numbers)), tuple(names for _, names in above))
    if key not in store.reader_sets:
        licensed = (p.index for p in store.people if p.active and p.kind == "atlassian")
        store.reader_sets[key] = [n for n in licensed if may_read(store, page, n)]
    return {
        "id": str(page.id),
        "status": page.status,
        "folder_above": store.has_folder_above(page),
        "anyone": is_open,
        "users": [names[n] for n in store.reader_sets[key]],
    }
