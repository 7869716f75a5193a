"""Who may read something that has several levels of access: a reader must pass every one of them.

Groups of different levels are compared by their members, so the readers of what two levels restrict are listed one by one; a group
that is in every level stays a group.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingest_ray.sdk.errors import SourceError

ANYONE = "anyone"
EVERY_ACCOUNT = ("class:authenticated-users", "class:all-licensed-users")
"""Classes of accounts, the wider one first."""
ListMembers = Callable[[str], frozenset[str]]


class AclUnknown(SourceError):
    """The readers of one content cannot be determined: it must not be stored."""


@dataclass(frozen=True)
class Level:
    source_type: str
    source_id: str
    readers: frozenset[str]

    def document(self) -> dict[str, object]:
        return {"source_type": self.source_type, "source_id": self.source_id, "readers": sorted(self.readers)}


@dataclass(frozen=True)
class Acl:
    levels: tuple[Level, ...]
    readers: tuple[str, ...]

    @property
    def is_restricted(self) -> bool:
        return len(self.levels) != 1

    @property
    def text(self) -> str:
        return json.dumps([level.document() for level in self.levels], separators=(",", ":"))


def effective_readers(levels: Sequence[Level], list_members: ListMembers) -> tuple[str, ...]:
    """Those who pass all levels. Everybody whom a level names has an account: a level that is open to every account narrows only
    one that is open to anyone."""
    closed = [level.readers for level in levels if ANYONE not in level.readers]
    if not closed:
        return (ANYONE,)
    if len(closed) == 1:
        return tuple(sorted(closed[0]))
    narrow = [readers for readers in closed if not readers & frozenset(EVERY_ACCOUNT)]
    common = frozenset.intersection(*(narrow or closed))
    if not narrow:
        widest = [min(EVERY_ACCOUNT.index(name) for name in readers & frozenset(EVERY_ACCOUNT)) for readers in closed]
        return tuple(sorted(common | {EVERY_ACCOUNT[max(widest)]}))
    if len(narrow) == 1:
        return tuple(sorted(common))
    people = frozenset.intersection(*(expanded(readers, list_members) for readers in narrow))
    covered = expanded(frozenset(reader for reader in common if reader.startswith("group:")), list_members)
    return tuple(sorted(common | (people - covered)))


def expanded(readers: frozenset[str], list_members: ListMembers) -> frozenset[str]:
    """The readers with every group replaced by its members. Those of other classes cannot be listed, and are left out."""
    people = {reader for reader in readers if reader.startswith("user:")}
    for reader in readers:
        if reader.startswith("group:"):
            people |= list_members(reader)
    return frozenset(people)
