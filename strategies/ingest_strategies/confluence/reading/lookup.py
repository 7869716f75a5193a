"""Reads pages, and what belongs to them, again by their ids."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.types import RunMode, SegmentState, UnitSpec
from ingest_strategies.atlassian.json_decoding import attempted
from ingest_strategies.atlassian.site_client import chunked
from ingest_strategies.confluence.api.contract import PAGE_TYPES, Api, FetchedContent
from ingest_strategies.confluence.api.cql import with_ids
from ingest_strategies.confluence.filters import filter_of
from ingest_strategies.confluence.planning.spaces import select_spaces
from ingest_strategies.confluence.reading.access_items import read_found
from ingest_strategies.confluence.reading.content_reader import ContentReader, ref_of
from ingest_strategies.confluence.reading.items import Item
from ingest_strategies.confluence.reading.reader import finish_lookup, listed_items, open_reader, site_of
from ingest_strategies.confluence.reading.rows import RowBuilder
from ingest_strategies.confluence.tables import ATTACHMENTS, COMMENTS, PAGES, SPACES, TABLES

ITEMS_AT_ONCE = 50
SPACE = "space_key"


def version_columns(spec: UnitSpec) -> Sequence[str] | None:
    """Labels and versions of pages are keys; access rights have no version, and are read in every run."""
    name = spec.dataset.name
    if name in (PAGES.name, COMMENTS.name, ATTACHMENTS.name):
        return ("version", "status")
    return () if TABLES[name].content else None


def look_up(
    api: Api, spec: UnitSpec, keys: pa.RecordBatch, context: ReadContext, known: Mapping[str, SegmentState] | None
) -> Iterator[pa.RecordBatch]:
    table = TABLES[spec.dataset.name]
    whole = schema_of(spec.dataset)
    needed = [name for name in (table.cursor, SPACE) if name is not None and name in whole.names]
    more = [name for name in needed if name not in context.schema.names]
    schema = pa.schema([*context.schema, *(whole.field(name) for name in more)])
    builder = RowBuilder(spec.dataset, schema, site_of(spec.dataset))
    spaces = {space.key: space for space in select_spaces(api, filter_of(spec))}
    ids = list(dict.fromkeys(str(value) for value in keys.column(table.key[0]).to_pylist()))
    for items in _read_items(api, spec, list(spaces.values()), ids, context):
        batch = builder.batch(items, context.reject)
        is_wanted = [_is_due(row, table.cursor, spec, known) for row in batch.select(needed).to_pylist()]
        if table.content:
            is_read = [str(key) in spaces for key in batch.column(SPACE).to_pylist()]
            is_wanted = [wanted and read for wanted, read in zip(is_wanted, is_read, strict=True)]
        yield batch.filter(pa.array(is_wanted, pa.bool_())).select(context.schema.names)


def _read_items(
    api: Api, spec: UnitSpec, spaces: Sequence[Any], ids: Sequence[str], context: ReadContext
) -> Iterator[list[Item]]:
    table = TABLES[spec.dataset.name]
    if table is SPACES:
        yield [Item(FetchedContent(space.body), space) for space in spaces]
        return
    if not table.content:
        for extent in spaces if table.extent == "space" else (None,):
            yield from listed_items(api, table, extent)
        return
    if not spaces:
        return
    reader = open_reader(api, spaces[0], context)
    reader.start_ms = filter_of(spec).updated_from_ms
    for chunk in chunked(ids, ITEMS_AT_ONCE):
        if table is PAGES:
            yield from _read_pages(reader, chunk)
        else:
            yield from read_found(reader, table.name, with_ids(chunk))
    finish_lookup(reader)


def _read_pages(reader: ContentReader, ids: Sequence[str]) -> Iterator[list[Item]]:
    """A key does not tell whether its page is a blog post. Cloud finds only pages of the requested kind, Data Center those of every kind."""
    missing = list(ids)
    for kind in PAGE_TYPES:
        found: set[str] = set()
        for items in reader.read_pages_by_id([(kind, number) for number in missing]):
            refs = (attempted(ref_of, item.content.body) for item in items)
            found.update(ref.id for ref in refs if ref is not None)
            yield items
        missing = [number for number in missing if number not in found]


def _is_due(
    row: Mapping[str, Any], cursor: str | None, spec: UnitSpec, known: Mapping[str, SegmentState] | None
) -> bool:
    if known is None or cursor is None or spec.config.run_mode is RunMode.FULL:
        return True
    state = known.get(str(row[SPACE]))
    if state is None or state.watermark is None or row[cursor] is None:
        return False
    return int(row[cursor].timestamp() * 1000) < int(state.watermark[0])
