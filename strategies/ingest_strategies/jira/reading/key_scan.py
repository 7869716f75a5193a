"""All ids of a project, or an error: what deletes are found by. A census that is not complete must never look like one.

The login is proved before and after: a token that is rotated meanwhile makes lists empty without a word. Then whoever finds
an id missing asks for it by `is_gone`: only a 404 is an absence, a 403 is not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ingest_ray.http.errors import NotThere
from ingest_ray.sdk.errors import SourceDenied, SourceUnavailable
from ingest_ray.sdk.types import UnitSpec
from ingest_strategies.jira.api.client import Api, Suspect
from ingest_strategies.jira.api.deployment import known as opened
from ingest_strategies.jira.api.jql import kept, quoted
from ingest_strategies.jira.api.responses import Id, Person, decoder
from ingest_strategies.jira.discovery import bodies
from ingest_strategies.jira.filters import JiraFilter, filter_of
from ingest_strategies.jira.planning.probe import project_keys
from ingest_strategies.jira.reading.reader import ITEMS, WANTED
from ingest_strategies.jira.tables import CHANGELOGS, ISSUES, TABLES, USERS

_id, _person = decoder(Id), decoder(Person)
MOST_SHORT = 0.02  # of what search itself counts: counts are approximate, and issues go while they are listed
FEW = 10


@dataclass(frozen=True)
class Census:
    api: Api
    spec: UnitSpec
    account: str

    def segments(self) -> list[str]:
        return project_keys(self.api, filter_of(self.spec))

    def ids(self, segment: str) -> Iterator[str]:
        """Every id of a segment that search has, in ascending order. It is complete when it ends without an error.

        Raises:
            SourceUnavailable: fewer came than search counts, or the account is another one than before.
            SourceError: as any request does; what was yielded before is then no census.
        """
        where = self.where(segment)
        before = self.api.count(where)
        number = 0
        for page in self.api.ids(where):
            number += len(page)
            yield from map(str, page)
        after = self.api.count(where)
        self.check_complete(segment, number, min(before, after))
        self.check_account()

    def keys(self, segment: str) -> Iterator[str]:
        """The keys of a segment's rows: of issues their ids, else those of all that hangs on them, read whole."""
        name = self.spec.dataset.name
        if name == ISSUES.name:
            yield from self.ids(segment)
            return
        issues, expected, suspects = 0, self.api.count(self.where(segment)), list[Suspect]()
        if name == CHANGELOGS.name:
            for logs in self.api.logs(self.where(segment)):
                yield from (_id(body).id for _, histories in logs for body in histories)
        else:
            for page in self.api.issues(self.where(segment), WANTED[name], suspects):
                issues += len(page)
                yield from (_id(item.body).id for body in page for item in ITEMS[name](body))
            self.check_complete(segment, issues, min(expected, self.api.count(self.where(segment))))
        if suspects:
            raise SourceUnavailable(f"census of '{segment}': issue {suspects[0].id} cannot be read")
        self.check_account()

    def whole(self) -> Iterator[list[str]]:
        """Every key of the dataset, some at a time."""
        name = self.spec.dataset.name
        if TABLES[name].cursor is None:
            for body in bodies(self.api, name):
                number = _person(body).id if name == USERS.name else _id(body).id
                yield [str(number)]
            self.check_account()
            return
        for segment in self.segments():
            yield list(self.keys(segment))

    def check_complete(self, segment: str, number: int, expected: int) -> None:
        if number < expected - max(FEW, MOST_SHORT * expected):
            raise SourceUnavailable(f"census of '{segment}': {number} issues came, search counts {expected}")

    def where(self, segment: str) -> str:
        """Only what makes a row belong here at all: an issue that fits a unit's filter no more is not deleted."""
        return " AND ".join([f"project = {quoted(segment)}", *kept(self.api.web.config, JiraFilter())])

    def is_gone(self, number: str) -> bool:
        """Proof of absence: 404 for an account that can log in. Raises `SourceDenied` for a 403."""
        try:
            self.api.web.get(f"issue/{number}", _id, {"fields": "id"})
        except NotThere:
            self.check_account()
            return True
        return False

    def check_account(self) -> None:
        now = self.api.web.myself().id
        if now != self.account:
            raise SourceDenied(f"the account was '{self.account}' and is '{now}'")


@contextmanager
def census(spec: UnitSpec) -> Iterator[Census]:
    """Open while it is used. Raises `SourceDenied` unless the login is good."""
    with opened(spec.endpoint, spec.dataset) as api:
        account = api.web.myself().id
        assert account is not None
        yield Census(api, spec, account)
