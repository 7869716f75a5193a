"""All keys of a dataset, or an error: what deletes are found by. A census that is not complete must never look like one.

Pages come from the trees of their spaces, whatever their status is, and not from slices: a slice in which something could not be read
makes nothing absent. A space that refuses, or fails, makes the census fail: what cannot be seen is not gone. The login is proved before
and after. Then whoever finds a key missing asks for it by `is_gone`: only a 404 is an absence, a 403 is not.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from ingest_ray.http.errors import NotThere
from ingest_ray.sdk.errors import SourceDenied, SourceUnavailable
from ingest_ray.sdk.types import Interval, UnitSpec
from ingest_strategies.atlassian.windows import Counted
from ingest_strategies.confluence.api.client import Api, Space, Suspect, count, edge
from ingest_strategies.confluence.api.cql import CREATED, window
from ingest_strategies.confluence.api.deployment import known as opened
from ingest_strategies.confluence.api.responses import Ref, decoder
from ingest_strategies.confluence.filters import filter_of
from ingest_strategies.confluence.planning.probe import chosen_spaces, is_read, proved_zone
from ingest_strategies.confluence.reading.items import Reader
from ingest_strategies.confluence.reading.rows import RowMaker
from ingest_strategies.confluence.tables import ACLS, ATTACHMENTS, COMMENTS, PAGES, SPACES, TABLES

WINDOW = 500
MOST_SHORT = 0.02  # of what search itself counts: things go while they are listed
FEW = 10
Keys = list[tuple[Any, ...]]
_ref = decoder(Ref)


@dataclass(frozen=True)
class Census:
    api: Api
    spec: UnitSpec
    account: str
    maker: RowMaker

    def all_keys(self) -> Iterator[Keys]:
        """Every key, some at a time; it is complete when it ends without an error.

        Raises:
            SourceUnavailable: fewer came than search counts.
            SourceError: as any request does; what was yielded before is then no census.
        """
        spaces = chosen_spaces(self.api, filter_of(self.spec))
        name = self.spec.dataset.name
        if name == SPACES.name:
            yield [(space.id,) for space in spaces]
        elif name in (PAGES.name, ACLS.name):
            for space in spaces:
                for leaves in self.api.tree(space):
                    yield [(str(leaf.id),) for leaf in leaves]
        else:
            zone = ZoneInfo(proved_zone(self.api, self.spec, self.api.web.now_ms()))
            for space in spaces:
                self.api.check(space)
                yield from self._hung(space, zone)
        self.check_account()

    def _hung(self, space: Space, zone: ZoneInfo) -> Iterator[Keys]:
        """What search finds, window by window: one must fit an answer."""
        table = TABLES[self.spec.dataset.name]

        def where(interval: Interval) -> str:
            return window(space.key, table.content, CREATED, interval, zone)

        counted = Counted(
            web=self.api.web,
            count=lambda interval: count(self.api.web, where(interval)),
            first=lambda interval: edge(self.api.web, where(interval), CREATED, last=False),
            last=lambda interval: edge(self.api.web, where(interval), CREATED, last=True),
            most=WINDOW,
        )
        lower = None
        for upper, expected in counted.windows(Interval()):
            inside = where(Interval(lower=lower, upper=upper))
            yield self._window(table.name, space, inside, expected)
            lower = upper

    def _window(self, name: str, space: Space, where: str, expected: int) -> Keys:
        suspects: list[Suspect] = []
        if name in (COMMENTS.name, ATTACHMENTS.name):
            found = [(_ref(body).id,) for body in self.api.hits(where, (), suspects)]
            self._check(space, len(found), expected)
            return found
        reader = Reader(self.api, space, refuse=self._refuse, suspects=suspects)
        places = [self.maker.schema.get_field_index(column) for column in TABLES[name].key]
        rows = [self.maker.values(item) for page in reader.of(name, where) for item in page]
        if suspects:
            raise SourceUnavailable(f"census of '{space.key}': {suspects[0].id} cannot be read")
        return [tuple(row[place] for place in places) for row in rows]

    def _refuse(self, number: str, title: str | None, reason: str, column: str | None) -> None:
        raise SourceUnavailable(f"census: {number}: {reason}")

    def _check(self, space: Space, number: int, expected: int) -> None:
        if number < expected - max(FEW, MOST_SHORT * expected):
            raise SourceUnavailable(f"census of '{space.key}': {number} came, search counts {expected}")

    def gone(self, keys: Sequence[Any]) -> list[bool]:
        """Proof of absence, for each: it is not there for an account that can log in, or in a space that is not read."""
        found = [self._is_gone(str(key)) for key in keys]
        if any(found):
            self.check_account()
        return found

    def _is_gone(self, number: str) -> bool:
        name = self.spec.dataset.name
        if name not in (PAGES.name, ACLS.name):
            return not self.api.exists(name, number)
        try:
            place, _ = self.api.place(number)
        except NotThere:
            return True
        return not any(place in (space.id, space.key) for space in self.api.spaces() if is_read(self.api, space))

    def check_account(self) -> None:
        now = self.api.web.myself().id
        if now != self.account:
            raise SourceDenied(f"the account was '{self.account}' and is '{now}'")


@contextmanager
def census(spec: UnitSpec, maker: RowMaker) -> Iterator[Census]:
    """Open while it is used. Raises `SourceDenied` unless the login is good."""
    with opened(spec.endpoint, spec.dataset) as api:
        account = api.web.myself().id
        assert account is not None
        yield Census(api, spec, account, maker)
