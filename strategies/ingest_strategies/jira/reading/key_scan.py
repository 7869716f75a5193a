"""Scans all keys of a dataset; deletes are derived from them. A scan that is not complete raises.

The login is proved before and after: a token that is rotated meanwhile makes lists empty, without an error. The absence of an issue
is then proved by `is_gone`: only a 404 proves it, a 403 does not.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
from pydantic import JsonValue

from ingest_ray.http.errors import NotThere
from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import UnitSpec
from ingest_strategies.atlassian.json_decoding import decoder
from ingest_strategies.atlassian.query_text import quoted
from ingest_strategies.jira.api.client import Api, IssueSet, UnreadableIssue
from ingest_strategies.jira.api.deployment import open_api
from ingest_strategies.jira.api.jql import filter_conditions
from ingest_strategies.jira.api.responses import Id
from ingest_strategies.jira.filters import JiraFilter, filter_of
from ingest_strategies.jira.planning.probe import segments_of, select_project_keys
from ingest_strategies.jira.reading.issue_items import IssueItems
from ingest_strategies.jira.reading.reader import read_history_items
from ingest_strategies.jira.reading.rows import Item, RowBuilder
from ingest_strategies.jira.reading.site_lists import read_all
from ingest_strategies.jira.tables import CHANGELOGS, ISSUES, TABLES, reads_issues

_id = decoder(Id)


def refuse_odd(raw: Mapping[str, JsonValue], reason: str, column: str | None) -> None:
    """A key that cannot be told must not be taken for one that is gone."""
    raise SourceUnavailable(f"key scan: a key cannot be told: {reason}")


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
        name, _where = self.spec.dataset.name, self.where(segment)
        if name == ISSUES.name:
            yield from self.list_ids(segment)
            return
        for items in self.list_items(segment):
            for item in items:
                yield _id(item.body).id

    def list_items(self, segment: str) -> Iterator[list[Item]]:
        """The children of all issues of a segment, each issue read whole."""
        name, where = self.spec.dataset.name, self.where(segment)
        issues, unreadable = IssueSet(where, expected=self.api.count(where)), list[UnreadableIssue]()
        if name == CHANGELOGS.name:
            yield from read_history_items(self.api, issues)
        else:
            issue_items = IssueItems(self.api, self.spec.dataset, refuse_odd, keys_only=True)
            for page in self.api.read_issues(issues, issue_items.selection, unreadable):
                yield issue_items.of_page(page)
        if unreadable:
            raise SourceUnavailable(f"key scan of '{segment}': issue {unreadable[0].id} cannot be read")
        self.api.client.check_account(self.account_id)

    def list_all_keys(self) -> Iterator[pa.RecordBatch]:
        """Every key of the dataset, some at a time, as batches of its key columns."""
        dataset = self.spec.dataset
        whole = schema_of(dataset)
        schema = pa.schema([whole.field(name) for name in TABLES[dataset.name].key])
        if dataset.name == ISSUES.name:
            for segment in self.list_segments():
                ids = pa.array(list(self.list_ids(segment)), schema.field(0).type)
                yield pa.RecordBatch.from_arrays([ids], schema=schema)
            return
        builder = RowBuilder(dataset, schema)
        if not reads_issues(dataset.name):
            for items in read_all(self.api, dataset.name, segments_of(self.api, self.spec)):
                yield builder.batch(items, refuse_odd)
            self.api.client.check_account(self.account_id)
            return
        for segment in self.list_segments():
            for items in self.list_items(segment):
                yield builder.batch(items, refuse_odd)

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
