"""Reads one slice: what is in its window, or what it names, as batches of the declared schema."""

from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo

import pyarrow as pa
from msgspec import Raw

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SliceTooLarge, SourceUnavailable
from ingest_ray.sdk.types import Dataset, Interval, Slice, UnitSpec
from ingest_strategies.atlassian.segment_progress import MINUTE_MS
from ingest_strategies.confluence.api.client import Api, Found, Space, count, edge
from ingest_strategies.confluence.api.cql import CREATED, MODIFIED, literal, of_space, window
from ingest_strategies.confluence.filters import filter_of
from ingest_strategies.confluence.planning import page_tree
from ingest_strategies.confluence.planning.probe import chosen_spaces, is_read
from ingest_strategies.confluence.reading.items import Reader, objects_of
from ingest_strategies.confluence.reading.rows import Item, RowMaker, Site
from ingest_strategies.confluence.tables import PAGES, TABLES, Table

MOST_SUSPECTS = 10  # of a slice in which nothing could be read: more than that is the site's fault, not the pages'


def site_of(dataset: Dataset) -> Site:
    return Site(dataset.facts.get("deployment") == "Cloud", str(dataset.facts.get("web_root", "")))


def read(api: Api, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
    maker = RowMaker(spec.dataset, context.schema, site_of(spec.dataset))
    is_divisible = is_wide(piece)
    held: list[Item] = []
    held_bytes = total_bytes = items = 0
    for page in found_items(api, spec, piece, context):
        held += page
        size = sum(len(item.found.body) + len(item.found.text or "") for item in page)
        held_bytes, total_bytes, items = held_bytes + size, total_bytes + size, items + len(page)
        if total_bytes > context.budget_bytes and is_divisible:
            raise SliceTooLarge(f"{piece.slice_id}: {total_bytes} bytes", bytes_per_row=total_bytes / max(1, items))
        if held_bytes >= context.page_bytes:
            yield maker.batch(held, context.reject)
            held, held_bytes = [], 0
    yield maker.batch(held, context.reject)


def is_wide(piece: Slice) -> bool:
    if piece.axis.kind == "whole":
        return False
    ids = piece.hints.get("ids")
    if isinstance(ids, str):
        return ids.count(" ") > 0
    lower, upper = piece.interval.lower, piece.interval.upper
    return lower is None or upper is None or int(upper[0]) - int(lower[0]) > MINUTE_MS


def found_items(api: Api, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[list[Item]]:
    table = TABLES[spec.dataset.name]
    if not table.content:
        yield [Item(Found(space.body), space) for space in chosen_spaces(api, filter_of(spec))]
        return
    space = space_of(piece.hints)
    if piece.hints.get("fault"):
        ask_again(api, space, table)
    reader = reader_of(api, space, context)
    reader.start_ms = filter_of(spec).updated_from_ms
    reader.now_ms = int(str(piece.hints.get("now_ms", 0)))
    number = 0
    ids = piece.hints.get("ids")
    pages = (
        reader.pages_by_id(page_tree.parsed(ids.split()))
        if isinstance(ids, str)
        else reader.of(table.name, where_of(spec, piece, space))
    )
    for page in pages:
        number += len(page)
        yield page
    finish(reader, piece, number, context)


def ask_again(api: Api, space: Space, table: Table) -> None:
    """A space that could not be looked at: what it refused then it must give now, or the slice fails with what it says."""
    api.check(space)
    if table is PAGES and api.web.config.sweep:
        for _ in api.tree(space):
            pass


def where_of(spec: UnitSpec, piece: Slice, space: Space) -> str:
    zone, axis = ZoneInfo(str(piece.hints["zone"])), piece.axis.columns[0]
    chosen, more = filter_of(spec), []
    if chosen.updated_from_ms is not None and axis != MODIFIED:
        more.append(f"{MODIFIED} >= {literal(chosen.updated_from_ms, zone)}")
    return window(space.key, TABLES[spec.dataset.name].content, axis, piece.interval, zone, *more)


def reader_of(api: Api, space: Space, context: ReadContext) -> Reader:
    def refuse(number: str, title: str | None, reason: str, column: str | None) -> None:
        context.reject({"id": number, "title": title, "space_key": space.key}, reason, column)

    return Reader(api, space, refuse, objects=objects_of(api))


def finish(reader: Reader, piece: Slice, number: int, context: ReadContext) -> None:
    """What is there and cannot be read goes to quarantine, if it is little. Fewer than counted: moved on, or a lost login."""
    expected, suspects = piece.hints.get("items"), reader.suspects
    if isinstance(expected, int) and number < expected:
        reader.api.web.myself()
    if not number and len(suspects) + reader.refused > MOST_SUSPECTS:
        reason = suspects[0].reason if suspects else "their readers cannot be told"
        raise SourceUnavailable(f"{piece.slice_id}: none of {len(suspects) + reader.refused} can be read: {reason}")
    for one in suspects:
        reader.refuse(one.id, one.title, f"it cannot be read: {one.reason}", None)


def space_of(hints: Mapping[str, object]) -> Space:
    known = hints["space"]
    assert isinstance(known, list)
    number, key, name, kind, status = known
    return Space(str(number), str(key), None if name is None else str(name), str(kind), str(status), Raw(b"{}"))


def first_items(api: Api, dataset: Dataset, zone: ZoneInfo, limit: int, context: ReadContext) -> list[Item]:
    """Some rows of a dataset, for people to look at: of the spaces that are read, until there are enough."""
    table = TABLES[dataset.name]
    spaces = (space for space in api.spaces() if is_read(api, space))
    if not table.content:
        return [Item(Found(space.body), space) for space, _ in zip(spaces, range(limit), strict=False)]
    found: list[Item] = []
    for space in spaces:
        reader = reader_of(api, space, context)
        ends = preview_window(api, dataset, space, zone)
        if ends is None:
            continue
        for page in reader.of(dataset.name, window(space.key, table.content, CREATED, ends, zone)):
            found += page
            if len(found) >= limit:
                return found[:limit]
    return found


def preview_window(api: Api, dataset: Dataset, space: Space, zone: ZoneInfo) -> Interval | None:
    table = TABLES[dataset.name]
    where = of_space(space.key, table.content)
    first = edge(api.web, where, CREATED, last=False)
    if first is None:
        return None
    span_ms = 60 * 24 * 3_600_000
    while True:
        ends = Interval(upper=(first + span_ms,))
        if span_ms < 2 * MINUTE_MS or count(api.web, window(space.key, table.content, CREATED, ends, zone)) <= 50:
            return ends
        span_ms //= 4
