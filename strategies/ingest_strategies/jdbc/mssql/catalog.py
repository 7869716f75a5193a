"""Reads tables, columns, keys, indexes and sizes from the catalog views of SQL Server 2016 or newer.

https://learn.microsoft.com/en-us/sql/relational-databases/system-catalog-views/catalog-views-transact-sql. They show only what
the login may see.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import JsonValue

from ingest_ray.sdk.errors import SourceError
from ingest_ray.sdk.types import Dataset, Endpoint
from ingest_strategies.jdbc.catalog_rows import (
    column_of,
    described_one_by_one,
    group_by_first,
    joined_name,
    name_facts,
    undescribed,
)
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import Session, TableSize
from ingest_strategies.jdbc.mssql.config import MssqlConfig
from ingest_strategies.jdbc.mssql.types import carrier_of, type_text
from ingest_strategies.jdbc.values.column_carriers import ColumnCarrier, refused
from ingest_strategies.jdbc.values.server_columns import column_facts

COUNT_LIMIT = 100_000  # rows that are counted; beyond it the server's own count is used
PAGE = 8192  # bytes of a page, https://learn.microsoft.com/en-us/sql/relational-databases/pages-and-extents-architecture-guide

RELATIONS = (
    "SELECT o.object_id, s.name, o.name, CASE o.type WHEN 'V' THEN 'view' ELSE 'table' END,"
    " (SELECT SUM(p.rows) FROM sys.partitions p WHERE p.object_id = o.object_id AND p.index_id IN (0, 1)),"
    " (SELECT SUM(a.used_pages) FROM sys.partitions p JOIN sys.allocation_units a ON a.container_id = p.partition_id"
    " WHERE p.object_id = o.object_id AND p.index_id IN (0, 1)),"
    " CAST(e.value AS nvarchar(4000)) FROM sys.objects o JOIN sys.schemas s ON s.schema_id = o.schema_id"
    " LEFT JOIN sys.extended_properties e"
    " ON e.class = 1 AND e.major_id = o.object_id AND e.minor_id = 0 AND e.name = N'MS_Description'"
    " WHERE o.type IN ('U', 'V') AND o.is_ms_shipped = 0 AND {where} ORDER BY s.name, o.name"
)
NAMES = (
    "SELECT s.name, o.name FROM sys.objects o JOIN sys.schemas s ON s.schema_id = o.schema_id"
    " WHERE o.type IN ('U', 'V') AND o.is_ms_shipped = 0 AND {where} ORDER BY s.name, o.name"
)
COLUMNS = (
    "SELECT c.object_id, c.name, t.name, c.max_length, c.precision, c.scale, c.is_nullable, c.collation_name,"
    " u.is_assembly_type, u.name, c.encryption_type FROM sys.columns c"
    " JOIN sys.objects o ON o.object_id = c.object_id JOIN sys.schemas s ON s.schema_id = o.schema_id"
    " JOIN sys.types u ON u.user_type_id = c.user_type_id"
    " LEFT JOIN sys.types t ON t.system_type_id = c.system_type_id AND t.user_type_id = c.system_type_id"
    " WHERE o.type IN ('U', 'V') AND o.is_ms_shipped = 0 AND {where} ORDER BY c.object_id, c.column_id"
)
# An index with a filter is no key of the table; an included column orders nothing.
INDEXES = (
    "SELECT i.object_id, i.index_id, i.is_primary_key, i.is_unique, c.name, k.is_descending_key FROM sys.indexes i"
    " JOIN sys.index_columns k ON k.object_id = i.object_id AND k.index_id = i.index_id"
    " JOIN sys.columns c ON c.object_id = k.object_id AND c.column_id = k.column_id"
    " JOIN sys.objects o ON o.object_id = i.object_id JOIN sys.schemas s ON s.schema_id = o.schema_id"
    " WHERE i.type IN (1, 2) AND i.is_disabled = 0 AND i.is_hypothetical = 0 AND i.has_filter = 0"
    " AND k.is_included_column = 0 AND o.is_ms_shipped = 0 AND {where} ORDER BY i.object_id, i.index_id, k.key_ordinal"
)


def text_literal(value: str) -> str:
    return "N'" + value.replace("'", "''") + "'"


def collect(endpoint: Endpoint, session: Session) -> Iterator[Dataset]:
    config = parse_config(MssqlConfig, endpoint)
    where = f"s.name IN ({', '.join(text_literal(name) for name in config.schemas)})" if config.schemas else "1 = 1"
    try:
        found = list(read_datasets(endpoint, session, where))
    except SourceError:
        names = [(schema, table) for schema, table in session.rows(NAMES.replace("{where}", where))]
        found = list(
            described_one_by_one(
                endpoint,
                session,
                names,
                lambda schema, table: next(read_datasets(endpoint, session, name_condition(schema, table)), None),
            )
        )
    for dataset in found:
        if config.schemas and dataset.facts["schema"] not in config.schemas:
            continue  # the server's own comparison may ignore case
        if config.includes(dataset.name):
            yield dataset


def describe(endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
    return next(read_datasets(endpoint, session, table_condition(dataset)), None)


def table_condition(dataset: Dataset) -> str:
    return name_condition(str(dataset.facts["schema"]), str(dataset.facts["table"]))


def name_condition(schema: str, table: str) -> str:
    return f"s.name = {text_literal(schema)} AND o.name = {text_literal(table)}"


def read_datasets(endpoint: Endpoint, session: Session, where: str) -> Iterator[Dataset]:
    columns = group_by_first(session.rows(COLUMNS.replace("{where}", where)))
    indexes = group_by_first(session.rows(INDEXES.replace("{where}", where)))
    for object_id, schema, table, kind, rows, pages, comment in session.rows(RELATIONS.replace("{where}", where)):
        carriers = {row[0]: row_carrier(row) for row in columns.get(object_id, [])}
        if not carriers:
            reason = "the server shows no column of it to this user"
            yield undescribed(endpoint, joined_name(schema, table), reason, name_facts(schema, table))
            continue
        primary, unique, leading = keys_of(indexes.get(object_id, []))
        facts: dict[str, JsonValue] = {
            **name_facts(schema, table),
            "kind": kind,
            "columns": column_facts(carriers),
            "collations": {row[0]: row[6] for row in columns[object_id] if row[6]},
            "indexes": [list(index) for index in leading],
        }
        yield Dataset(
            endpoint_id=endpoint.endpoint_id,
            name=joined_name(schema, table),
            kind=kind,
            columns=tuple(
                column_of(row[0], source_type_of(row), bool(row[5]), carriers[row[0]]) for row in columns[object_id]
            ),
            primary_key=primary,
            unique_keys=unique,
            estimated_rows=None if rows is None or kind == "view" else int(rows),
            estimated_bytes=None if pages is None or kind == "view" else int(pages) * PAGE,
            description=comment or None,
            facts=facts,
        )


def source_type_of(row: tuple[Any, ...]) -> str:
    _, name, length, precision, scale, _, _, _, user_type, *_ = row
    return type_text(name, int(length), int(precision), int(scale)) if name else str(user_type)


def row_carrier(row: tuple[Any, ...]) -> ColumnCarrier:
    _, name, length, precision, scale, _, collation, is_assembly, user_type, encryption = row
    if encryption is not None:
        return refused("an encrypted column is not read: its key is not here")
    if is_assembly or not name:
        return carrier_of(str(user_type), 0, 0, 0, None)
    return carrier_of(name, int(length), int(precision), int(scale), collation)


def keys_of(rows: Sequence[tuple[Any, ...]]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], list[list[str]]]:
    """Primary key, other unique keys, and the columns of every ascending index."""
    members: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for index, *rest in rows:
        members[index].append(tuple(rest))
    primary: tuple[str, ...] = ()
    unique, leading = set(), []
    for parts in members.values():
        names = tuple(part[2] for part in parts)
        if not any(part[3] for part in parts):
            leading.append(list(names))
        if parts[0][0]:
            primary = names
        elif parts[0][1]:
            unique.add(names)
    return primary, tuple(sorted(unique)), leading


def read_column_types(session: Session, dataset: Dataset) -> dict[str, str]:
    rows = session.rows(COLUMNS.replace("{where}", table_condition(dataset)))
    return {row[1]: source_type_of(tuple(row[1:])) for row in rows}


def read_size(session: Session, dataset: Dataset, table: str, first_rows: str) -> TableSize:
    """A bounded count, beyond it the server's own count; bytes of the pages that hold the rows."""
    if dataset.facts.get("kind") == "view":
        return TableSize()
    counted = f"SELECT COUNT(*) FROM (SELECT 1 AS one FROM {table} {first_rows}) counted"
    rows = int(session.rows(counted)[0][0])
    statistics = session.rows(RELATIONS.replace("{where}", table_condition(dataset)))
    server_count, pages = (statistics[0][4], statistics[0][5]) if statistics else (None, None)
    if rows > COUNT_LIMIT:
        rows = max(rows, int(server_count or 0))
    size = int(pages) * PAGE if pages is not None else None
    return TableSize(rows=rows, bytes=size, bytes_per_row=size / rows if size and rows else None)
