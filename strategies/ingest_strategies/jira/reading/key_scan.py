"""Scans all keys of a dataset; deletes are derived from them. A scan that is not complete raises.

The login is proved before and after: a token that is rotated meanwhile makes lists empty, without an error. The absence of an issue
is then proved by `is_gone`: only a 404 proves it, a 403 does not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ingest_ray.http.errors import NotThere
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import UnitSpec
from ingest_strategies.atlassian.json_decoding import decoder
from ingest_strategies.atlassian.query_text import quoted
from ingest_strategies.jira.api.client import Api, IssueSet, UnreadableIssue
from ingest_strategies.jira.api.deployment import open_api
from ingest_strategies.jira.api.jql import filter_conditions
from ingest_strategies.jira.api.responses import Id, Person
from ingest_strategies.jira.discovery import list_bodies
from ingest_strategies.jira.filters import JiraFilter, filter_of
from ingest_strategies.jira.planning.probe import select_project_keys
from ingest_strategies.jira.reading.reader import ITEMS_OF_ISSUE, SELECTIONS
from ingest_strategies.jira.tables import CHANGELOGS, ISSUES, TABLES, USERS

_id, _person = decoder(Id), decoder(Person)


@dataclass(frozen=True)
class KeyScan:
    api: Api
    spec: UnitSpec
    account_id: str

    def list_segments(self) -> list[str]:
        return select_project_keys(self.api, filter_of(self.spec))

    def list_ids(self, segment: str) -> Iterator[str]:
        """Every issue id of a segment that search has, in ascending order. Complete when it ends without an error.

        Raises:
            SourceUnavailable: fewer were listed than search counts.
            SourceDenied: the account is another one than before.
            SourceError: as any request does; the ids that were yielded before are then no scan.
        """
        where = self.where(segment)
        yield from map(str, self.api.list_ids(where, self.api.count(where)))
        self.api.client.check_account(self.account_id)

    def list_keys(self, segment: str) -> Iterator[str]:
        """The keys of a segment's rows: issue ids, or the ids of all children of its issues, each issue read whole."""
        name, where = self.spec.dataset.name, self.where(segment)
        if name == ISSUES.name:
            yield from self.list_ids(segment)
            return
        issues, unreadable = IssueSet(where, expected=self.api.count(where)), list[UnreadableIssue]()
        if name == CHANGELOGS.name:
            for changelogs in self.api.read_changelogs(issues):
                yield from (_id(body).id for _, histories in changelogs for body in histories)
        else:
            for page in self.api.read_issues(issues, SELECTIONS[name], unreadable):
                yield from (_id(item.body).id for body in page for item in ITEMS_OF_ISSUE[name](body))
        if unreadable:
            raise SourceUnavailable(f"key scan of '{segment}': issue {unreadable[0].id} cannot be read")
        self.api.client.check_account(self.account_id)

    def list_all_keys(self) -> Iterator[list[str]]:
        """Every key of the dataset, some at a time."""
        name = self.spec.dataset.name
        if TABLES[name].cursor is None:
            for body in list_bodies(self.api, name):
                key = _person(body).id if name == USERS.name else _id(body).id
                yield [str(key)]
            self.api.client.check_account(self.account_id)
            return
        for segment in self.list_segments():
            yield list(self.list_keys(segment))

    def where(self, segment: str) -> str:
        """The endpoint's own condition only: an issue that stops matching the unit's filter is not deleted."""
        return " AND ".join([f"project = {quoted(segment)}", *filter_conditions(self.api.client.config, JiraFilter())])

    def is_gone(self, issue_id: str) -> bool:
        """True for a 404 that an account gets which can log in. Raises `SourceDenied` for a 403."""
        try:
            self.api.client.get(f"issue/{issue_id}", _id, {"fields": "id"})
        except NotThere:
            self.api.client.check_account(self.account_id)
            return True
        return False


@contextmanager
def open_key_scan(spec: UnitSpec) -> Iterator[KeyScan]:
    """Raises `SourceDenied` unless the login is good."""
    with open_api(spec.endpoint, spec.dataset) as api:
        account_id = api.client.read_account().id
        assert account_id is not None
        yield KeyScan(api, spec, account_id)
