"""Who may read what. A reader must pass every level: the space, each restricted page above, the page itself.

Groups of different levels are compared by their members, so the readers of a page below two restrictions are named one by one;
a group that stands in every level stays a group. What cannot be known is an error, never an open door.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ingest_ray.http.client import Tries
from ingest_ray.http.errors import BadRequest, BrokenAnswer, NotThere
from ingest_ray.sdk.errors import SourceError
from ingest_strategies.confluence.api.client import Api, Space, chunked
from ingest_strategies.confluence.api.responses import ContentOne, Restriction, decoder

ANYONE = "anyone"
AT_ONCE = 200
EXPAND = ("ancestors", "restrictions.read.restrictions.user", "restrictions.read.restrictions.group")
_content, _restriction = decoder(ContentOne), decoder(Restriction)
Members = Callable[[str], frozenset[str]]


class AclUnknown(SourceError):
    """The readers of one content cannot be told: it must not be landed."""


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
        return len(self.levels) > 1

    @property
    def text(self) -> str:
        return json.dumps([level.document() for level in self.levels], separators=(",", ":"))


def effective(levels: Sequence[Level], members: Members) -> tuple[str, ...]:
    """Whoever passes all levels."""
    closed = [level.readers for level in levels if ANYONE not in level.readers]
    if not closed:
        return (ANYONE,)
    if len(closed) == 1:
        return tuple(sorted(closed[0]))
    common = frozenset.intersection(*closed)
    people = frozenset.intersection(*(expanded(readers, members) for readers in closed))
    covered = expanded(frozenset(one for one in common if one.startswith("group:")), members)
    return tuple(sorted(common | (people - covered)))


def expanded(readers: frozenset[str], members: Members) -> frozenset[str]:
    found = {one for one in readers if one.startswith("user:")}
    for one in readers:
        if one.startswith("group:"):
            found |= members(one)
    return frozenset(found)


def names_of(restriction: Restriction | None) -> tuple[frozenset[str], bool]:
    """Who is named, and whether that is all of them."""
    if restriction is None:
        return frozenset(), True
    people, groups = restriction.restrictions.user, restriction.restrictions.group
    named = {f"user:{one.id}" for one in people.results} | {f"group:{one.id or one.name}" for one in groups.results}
    return frozenset(named), people.size < people.limit and groups.size < groups.limit


@dataclass
class AclReader:
    """Reads the ACLs of some content of one space; asks for each ancestor and each group once."""

    api: Api
    space: Space
    own: dict[str, frozenset[str]] = field(default_factory=dict)
    groups: dict[str, frozenset[str]] = field(default_factory=dict)
    granted: dict[str, frozenset[str]] = field(default_factory=dict)
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    untold: dict[str, str] = field(default_factory=dict)
    """Why the restrictions of a page cannot be had: it may be above many others, and is asked once."""
    is_spoilt: bool = False

    @property
    def _tries(self) -> Tries:
        """What fails for many is asked for again by itself, so nothing is asked for long."""
        return Tries(failures=3, first_wait_s=self.api.web.config.retry_wait_s)

    def learn(self, content: ContentOne) -> None:
        """What an answer with `EXPAND` says of a page; a list that was cut is asked for again, by itself."""
        if content.ancestors is not None:
            self.chains[content.id] = tuple(one.id for one in content.ancestors)
        if content.restrictions is not None:
            named, is_whole = names_of(content.restrictions.read)
            if is_whole:
                self.own[content.id] = named

    def prepare(self, ids: Sequence[str]) -> None:
        """Asks for everything that these pages need and that is not known: many at once, else one by one."""
        self._look_up([number for number in ids if number not in self.own])
        above = {one for number in ids for one in self.chains.get(number, ())}
        self._look_up([number for number in sorted(above) if number not in self.own])

    def _look_up(self, ids: list[str]) -> None:
        """https://jira.atlassian.com/browse/CONFCLOUD-77618: one page that cannot be shown spoils the answer of all. Then each is
        asked for by itself, when it is needed."""
        for chunk in chunked(ids, AT_ONCE):
            if self.is_spoilt:
                return
            try:
                found = self.api.bulk(chunk, EXPAND, self._tries)
            except (NotThere, BadRequest, BrokenAnswer):
                self.is_spoilt = True
                return
            for body in found:
                self.learn(_content(body))

    def of(self, number: str, space: Space | None = None) -> Acl:
        """Raises `AclUnknown`."""
        if number not in self.chains:
            self._alone(number)
        levels = [Level("space", (space or self.space).key, self._granted(space or self.space))]
        for one in (*self.chains[number], number):
            readers = self._own(one)
            if readers:
                levels.append(Level("page", one, readers))
        return Acl(tuple(levels), effective(levels, self._members))

    def _alone(self, number: str) -> None:
        """A page that search does not know: trashed, archived, or newer than the index."""
        try:
            chain = self.api.ancestors(number)
        except (NotThere, BrokenAnswer) as error:
            raise AclUnknown(f"the ancestors of {number} cannot be read: {error}") from None
        self.chains[number] = chain

    def _own(self, number: str) -> frozenset[str]:
        if number in self.untold:
            raise AclUnknown(self.untold[number])
        if number not in self.own:
            try:
                self.own[number] = self._named(number)
            except (NotThere, BrokenAnswer) as error:
                self.untold[number] = f"the restrictions of {number} cannot be read: {error}"
                raise AclUnknown(self.untold[number]) from None
        return self.own[number]

    def _named(self, number: str) -> frozenset[str]:
        """All names, however many: a list that stays cut must not be taken for a whole one."""
        rest = f"rest/api/content/{number}/restriction/byOperation/read"
        found: frozenset[str] = frozenset()
        start = 0
        while True:
            params = {"expand": "restrictions.user,restrictions.group", "start": start, "limit": AT_ONCE}
            named, is_whole = names_of(self.api.web.get(rest, _restriction, params, self._tries))
            if is_whole:
                return found | named
            if named <= found:
                raise AclUnknown(
                    f"the restrictions of {number} name more than {len(found)} readers, and not all can be had"
                )
            found, start = found | named, start + AT_ONCE

    def _granted(self, space: Space) -> frozenset[str]:
        if space.key not in self.granted:
            found = self.api.grant(space).readers
            if not found:
                raise AclUnknown(
                    f"nobody is said to read space '{space.key}': this account may not see its permissions"
                )
            self.granted[space.key] = found
        return self.granted[space.key]

    def _members(self, group: str) -> frozenset[str]:
        if group not in self.groups:
            self.groups[group] = self.api.members(group)
        return self.groups[group]
