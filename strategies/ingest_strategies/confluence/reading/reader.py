"""Reads one slice: the content of its window, or of its ids, as batches of the declared schema."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from zoneinfo import ZoneInfo

import pyarrow as pa
from msgspec import Raw

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import Dataset, Interval, Slice, UnitSpec
from ingest_strategies.atlassian.attachment_files import open_attachment_store
from ingest_strategies.atlassian.batches import slice_batches
from ingest_strategies.atlassian.deployment import CLOUD
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.atlassian.segment_progress import MINUTE_MS
from ingest_strategies.confluence.api.contract import Api, FetchedContent, Space
from ingest_strategies.confluence.api.cql import CREATED, MODIFIED, in_space, modified_since, window
from ingest_strategies.confluence.api.responses import ContentRef
from ingest_strategies.confluence.api.search import count_content, find_edge_ms
from ingest_strategies.confluence.filters import filter_of
from ingest_strategies.confluence.planning.page_tree import build_tree, page_names, parse_page_names
from ingest_strategies.confluence.planning.probe import UNLISTED
from ingest_strategies.confluence.planning.spaces import is_selected, select_spaces
from ingest_strategies.confluence.reading.access_items import read_acls_by_id, read_found
from ingest_strategies.confluence.reading.content_reader import ContentReader
from ingest_strategies.confluence.reading.content_rows import Site
from ingest_strategies.confluence.reading.items import Item
from ingest_strategies.confluence.reading.rows import RowBuilder
from ingest_strategies.confluence.tables import ACLS, PAGES, SPACES, TABLES, ContentTable

_ref = decoder(ContentRef)
SEARCHES_AGAIN = 3
MOST_UNREADABLE = 10  # of a slice in which nothing could be read: more than that is the site's fault, not the pages'
PREVIEWED = 50  # items in the window of a preview, at most


def site_of(dataset: Dataset) -> Site:
    return Site(dataset.facts.get("deployment") == CLOUD, str(dataset.facts.get("web_root", "")))


def read_slice(api: Api, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
    return slice_batches(
        read_items(api, spec, piece, context),
        piece,
        context,
        RowBuilder(spec.dataset, context.schema, site_of(spec.dataset)).batch,
        bytes_of=lambda item: len(item.content.body) + len(item.content.text or ""),
        count=len,
        is_divisible=is_divisible_slice(piece),
    )


def is_divisible_slice(piece: Slice) -> bool:
    if piece.axis.kind == "whole":
        return False
    ids = piece.hints.get("ids")
    if isinstance(ids, str):
        return ids.count(" ") > 0
    if piece.hints.get(UNLISTED):
        return False
    lower, upper = piece.interval.lower, piece.interval.upper
    return lower is None or upper is None or int(upper[0]) - int(lower[0]) > MINUTE_MS


def read_items(api: Api, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[list[Item]]:
    table = TABLES[spec.dataset.name]
    if table is SPACES:
        yield [Item(FetchedContent(space.body), space) for space in select_spaces(api, filter_of(spec), keyless=True)]
        return
    if not table.content:
        yield from listed_items(api, table, space_from_hint(piece.hints) if table.extent == "space" else None)
        return
    space = space_from_hint(piece.hints)
    if piece.hints.get("fault"):
        repeat_probe(api, space, table)
    reader = open_reader(api, space, context)
    reader.start_ms = filter_of(spec).updated_from_ms
    reader.now_ms = int(str(piece.hints.get("now_ms", 0)))
    names = names_of(api, piece, space)
    if names is not None:
        pages = read_acls_by_id(reader, names) if table is ACLS else reader.read_pages_by_id(names)
    else:
        pages = read_found(reader, table.name, window_of(spec, piece, space))
    for page in pages:
        reader.items += len(page)
        yield page
    if names is None:
        check_hits(reader, piece, window_of(spec, piece, space))
    finish_slice(reader, piece)


def names_of(api: Api, piece: Slice, space: Space) -> list[tuple[str, str]] | None:
    """(type, id) of the pages of a slice of ids; None for one that search finds. Of a tree that the planner could not list, the pages
    that changed since the lower end of the slice; without one, those that search does not find."""
    ids = piece.hints.get("ids")
    if isinstance(ids, str):
        return parse_page_names(ids.split())
    if piece.hints.get(UNLISTED):
        tree = build_tree(api.list_tree(space))
        return parse_page_names(page_names(tree, tree.changed(piece.interval.lower)))
    return None


def listed_items(api: Api, table: ContentTable, space: Space | None) -> Iterator[list[Item]]:
    for page in api.list_objects(table.name, space):
        yield [Item(FetchedContent(each.body), space, extra=each.extra) for each in page]


def repeat_probe(api: Api, space: Space, table: ContentTable) -> None:
    """Repeats the requests that failed in the probe of a space: where they fail again, the slice fails with their error."""
    api.check_space(space)
    if table in (PAGES, ACLS) and api.client.config.sweep:
        for _ in api.list_tree(space):
            pass


def window_of(spec: UnitSpec, piece: Slice, space: Space) -> str:
    zone, axis = ZoneInfo(str(piece.hints["zone"])), piece.axis.columns[0]
    start_ms, more = filter_of(spec).updated_from_ms, []
    if start_ms is not None and axis != MODIFIED:
        more.append(modified_since(start_ms, zone))
    return window(space.key, TABLES[spec.dataset.name].content, axis, piece.interval, zone, *more)


def open_reader(api: Api, space: Space, context: ReadContext) -> ContentReader:
    def reject(number: str, title: str | None, reason: str, column: str | None) -> None:
        context.reject({"id": number, "title": title, "space_key": space.key}, reason, column)

    return ContentReader(api, space, reject, attachments=open_attachment_store(api.client))


def check_hits(reader: ContentReader, piece: Slice, where: str) -> None:
    """Where search gave less than was counted, the content moved on, the login was lost, or an answer skipped some of it: the login is
    proved, and search is asked again for the ids. Where it gives the same each time, its count is taken for inexact.

    Raises:
        SourceUnavailable: a later answer has content that the first lacked.
    """
    expected = piece.hints.get("items")
    if not isinstance(expected, int) or len(reader.hits) >= expected:
        return
    reader.api.client.read_account()
    for _ in range(SEARCHES_AGAIN):
        again = (attempted(_ref, body) for body in reader.api.search(where, (), []))
        missed = sorted({ref.id for ref in again if ref is not None} - reader.hits)
        if missed:
            raise SourceUnavailable(
                f"{piece.slice_id}: search left out {len(missed)} of {expected}, such as {missed[0]}"
            )


def finish_slice(reader: ContentReader, piece: Slice) -> None:
    """Sends unreadable content to quarantine, unless nothing else was in the slice and there is much of it."""
    unreadable = reader.unreadable
    lost = len(unreadable) + reader.without_readers
    if not reader.items and lost > MOST_UNREADABLE:
        reason = unreadable[0].reason if unreadable else "their readers cannot be determined"
        raise SourceUnavailable(f"{piece.slice_id}: none of {lost} can be read: {reason}")
    for content in unreadable:
        reader.reject(content.id, content.title, f"it cannot be read: {content.reason}", None)


def finish_lookup(reader: ContentReader) -> None:
    """Leaves out content that cannot be read, as a run does; the login is proved, because a lost one makes answers empty."""
    reader.api.client.read_account()
    for content in reader.unreadable:
        reader.reject(content.id, content.title, f"it cannot be read: {content.reason}", None)


def space_from_hint(hints: Mapping[str, object]) -> Space:
    hint = hints["space"]
    assert isinstance(hint, list)
    number, key, name, kind, status = hint
    return Space(str(number), str(key), None if name is None else str(name), str(kind), str(status), Raw(b"{}"))


def read_first_items(api: Api, dataset: Dataset, zone: ZoneInfo, limit: int, context: ReadContext) -> list[Item]:
    """Some rows of a dataset for its preview, from one space after the other until there are enough."""
    table = TABLES[dataset.name]
    spaces = (space for space in api.list_spaces() if is_selected(api, space))
    if table is SPACES:
        return [Item(FetchedContent(space.body), space) for space, _ in zip(spaces, range(limit), strict=False)]
    if not table.content:
        extents: Iterable[Space | None] = spaces if table.extent == "space" else (None,)
        pages = (page for extent in extents for page in listed_items(api, table, extent))
        return list(islice(chain.from_iterable(pages), limit))
    items: list[Item] = []
    for space in spaces:
        reader = open_reader(api, space, context)
        interval = find_preview_interval(api, table, space, zone)
        if interval is None:
            continue
        for page in read_found(reader, dataset.name, window(space.key, table.content, CREATED, interval, zone)):
            items += page
            if len(items) >= limit:
                return items[:limit]
    return items


def find_preview_interval(api: Api, table: ContentTable, space: Space, zone: ZoneInfo) -> Interval | None:
    first = find_edge_ms(api.client, in_space(space.key, table.content), CREATED, last=False)
    if first is None:
        return None
    span_ms = 60 * 24 * 3_600_000
    while True:
        interval = Interval(upper=(first + span_ms,))
        where = window(space.key, table.content, CREATED, interval, zone)
        if span_ms < 2 * MINUTE_MS or count_content(api.client, where) <= PREVIEWED:
            return interval
        span_ms //= 4
