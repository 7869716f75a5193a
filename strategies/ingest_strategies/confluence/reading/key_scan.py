"""Scans all keys of a dataset; deletes are derived from them. A scan that is not complete raises.

Pages come from the trees of their spaces, of any status, and not from slices: an unreadable page in a slice makes nothing absent. A
space that refuses or fails makes the scan fail: what the account cannot see is not deleted. The login is proved before and after. The
absence of a key is then proved by `are_gone`: only a 404 proves it, a 403 does not.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from ingest_ray.http.errors import NotThere
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import Interval, UnitSpec
from ingest_strategies.atlassian.json_decoding import decoder
from ingest_strategies.atlassian.key_scan import check_complete
from ingest_strategies.atlassian.windows import WindowCutter
from ingest_strategies.confluence.api.contract import Api, Space, UnreadableContent
from ingest_strategies.confluence.api.cql import CREATED, window
from ingest_strategies.confluence.api.deployment import open_api
from ingest_strategies.confluence.api.responses import ContentRef
from ingest_strategies.confluence.api.search import count_content, find_edge_ms
from ingest_strategies.confluence.filters import filter_of
from ingest_strategies.confluence.planning.spaces import is_selected, select_spaces
from ingest_strategies.confluence.planning.timezone import confirm_zone
from ingest_strategies.confluence.reading.access_items import read_found
from ingest_strategies.confluence.reading.content_reader import ContentReader
from ingest_strategies.confluence.reading.items import Item
from ingest_strategies.confluence.reading.reader import listed_items
from ingest_strategies.confluence.reading.rows import RowBuilder
from ingest_strategies.confluence.tables import (
    ACLS,
    ATTACHMENT_ACLS,
    ATTACHMENTS,
    COMMENTS,
    LABELS,
    PAGES,
    REVISIONS,
    SPACES,
    TABLES,
)

WINDOW_ITEMS = 500
Keys = list[tuple[Any, ...]]
_ref = decoder(ContentRef)


@dataclass(frozen=True)
class KeyScan:
    api: Api
    spec: UnitSpec
    account_id: str
    builder: RowBuilder
    statuses: dict[str, str] = field(default_factory=dict)
    """Of pages whose labels or versions may be gone."""

    def list_all_keys(self) -> Iterator[Keys]:
        """Every key, some at a time. Complete when it ends without an error.

        Raises:
            SourceUnavailable: fewer were listed than search counts.
            SourceError: as any request does; the keys that were yielded before are then no scan.
        """
        spaces = select_spaces(self.api, filter_of(self.spec))
        name = self.spec.dataset.name
        if name == SPACES.name:
            yield [(space.id,) for space in spaces]
        elif not TABLES[name].content:
            extents: list[Space | None] = [*spaces] if TABLES[name].extent == "space" else [None]
            for extent in extents:
                for items in listed_items(self.api, TABLES[name], extent):
                    yield self._keys_of(items)
        elif name in (PAGES.name, ACLS.name):
            for space in spaces:
                for pages in self.api.list_tree(space):
                    yield [(str(page.id),) for page in pages]
        else:
            client = self.api.client
            zone = ZoneInfo(confirm_zone(client, self.spec.dataset.facts.get("zone"), client.read_clock_ms()))
            for space in spaces:
                self.api.check_space(space)
                yield from self._search_space(space, zone)
        self.api.client.check_account(self.account_id)

    def _search_space(self, space: Space, zone: ZoneInfo) -> Iterator[Keys]:
        """Searches window by window: each window's results must fit one answer."""
        table = TABLES[self.spec.dataset.name]

        def where(interval: Interval) -> str:
            return window(space.key, table.content, CREATED, interval, zone)

        client = self.api.client
        cutter = WindowCutter(
            client=client,
            count=lambda interval: count_content(client, where(interval)),
            first=lambda interval: find_edge_ms(client, where(interval), CREATED, last=False),
            last=lambda interval: find_edge_ms(client, where(interval), CREATED, last=True),
            most=WINDOW_ITEMS,
        )
        lower = None
        for upper, expected in cutter.windows(Interval()):
            yield self._search_window(table.name, space, where(Interval(lower=lower, upper=upper)), expected)
            lower = upper

    def _search_window(self, name: str, space: Space, where: str, expected: int) -> Keys:
        unreadable: list[UnreadableContent] = []
        if name in (COMMENTS.name, ATTACHMENTS.name, ATTACHMENT_ACLS.name):
            keys = [(_ref(body).id,) for body in self.api.search(where, (), unreadable)]
            check_complete(space.key, len(keys), expected)
            return keys
        reader = ContentReader(self.api, space, reject=self._fail, unreadable=unreadable)
        keys = self._keys_of([item for page in read_found(reader, name, where) for item in page])
        if unreadable:
            raise SourceUnavailable(f"key scan of '{space.key}': {unreadable[0].id} cannot be read")
        return keys

    def _keys_of(self, items: Sequence[Item]) -> Keys:
        indexes = [self.builder.schema.get_field_index(column) for column in TABLES[self.spec.dataset.name].key]
        rows = [self.builder.row(item) for item in items]
        return [tuple(row[index] for index in indexes) for row in rows]

    def _fail(self, number: str, title: str | None, reason: str, column: str | None) -> None:
        raise SourceUnavailable(f"key scan: {number}: {reason}")

    def are_gone(self, keys: Sequence[Any]) -> list[bool]:
        """For each key, whether its content is absent for an account that can log in, or in a space that is not read."""
        are_gone = [self._is_gone(str(key)) for key in keys]
        if any(are_gone):
            self.api.client.check_account(self.account_id)
        return are_gone

    def _is_gone(self, number: str) -> bool:
        name = self.spec.dataset.name
        if name in (LABELS.name, REVISIONS.name):
            return self._is_child_gone(number)
        if name not in (PAGES.name, ACLS.name):
            return not self.api.exists(name, number)
        try:
            location, _ = self.api.locate(number)
        except NotThere:
            return True
        selected = (space for space in self.api.list_spaces() if is_selected(self.api, space))
        return not any(location in (space.id, space.key) for space in selected)

    def _is_child_gone(self, page: str) -> bool:
        """Of a label or version that the scan lacks. The scan read every current page whole, and search does not find archived pages."""
        if page not in self.statuses:
            try:
                self.statuses[page] = self.api.locate(page)[1]
            except NotThere:
                self.statuses[page] = "gone"
        return self.statuses[page] != "archived"


@contextmanager
def open_key_scan(spec: UnitSpec, builder: RowBuilder) -> Iterator[KeyScan]:
    """Raises `SourceDenied` unless the login is good."""
    with open_api(spec.endpoint, spec.dataset) as api:
        account_id = api.client.read_account().id
        assert account_id is not None
        yield KeyScan(api, spec, account_id, builder)
