"""What SQL Server's catalog views say of tables, columns, keys, indexes and sizes. SQL Server 2016 or newer.

https://learn.microsoft.com/en-us/sql/relational-databases/system-catalog-views/catalog-views-transact-sql. They show what
the login may see, and nothing of the rest.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from pydantic import JsonValue

from ingest_ray.sdk.types import Dataset, Endpoint
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import Session, Size
from ingest_strategies.jdbc.mssql.config import MssqlConfig
from ingest_strategies.jdbc.mssql.types import carried, type_text
from ingest_strategies.jdbc.values.column_carriers import Carried, refused
from ingest_strategies.jdbc.values.server_columns import column_of, difference, remembered

COUNT_LIMIT = 100_000  # rows that are counted; beyond it the server's own count tells
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
COLUMNS = (
    "SELECT c.object_id, c.name, t.name, c.max_length, c.precision, c.scale, c.is_nullable, c.collation_name,"
    " u.is_assembly_type, u.name, c.encryption_type FROM sys.columns c"
    " JOIN sys.objects o ON o.object_id = c.object_id JOIN sys.schemas s ON s.schema_id = o.schema_id"
    " JOIN sys.types u ON u.user_type_id = c.user_type_id"
    " LEFT JOIN sys.types t ON t.system_type_id = c.system_type_id AND t.user_type_id = c.system_type_id"
    " WHERE o.type IN ('U', 'V') AND o.is_ms_shipped = 0 AND {where} ORDER BY c.object_id, c.column_id"
)
# An index with a filter is no key of the table; a column that is only included orders nothing.
INDEXES = (
    "SELECT i.object_id, i.index_id, i.is_primary_key, i.is_unique, c.name, k.is_descending_key FROM sys.indexes i"
    " JOIN sys.index_columns k ON k.object_id = i.object_id AND k.index_id = i.index_id"
    " JOIN sys.columns c ON c.object_id = k.object_id AND c.column_id = k.column_id"
    " JOIN sys.objects o ON o.object_id = i.object_id JOIN sys.schemas s ON s.schema_id = o.schema_id"
    " WHERE i.type IN (1, 2) AND i.is_disabled = 0 AND i.is_hypothetical = 0 AND i.has_filter = 0"
    " AND k.is_included_column = 0 AND o.is_ms_shipped = 0 AND {where} ORDER BY i.object_id, i.index_id, k.key_ordinal"
)


def text(value: str) -> str:
    return "N'" + value.replace("'", "''") + "'"


def collect(endpoint: Endpoint, session: Session) -> Iterator[Dataset]:
    config = parse_config(MssqlConfig, endpoint)
    where = f"s.name IN ({', '.join(text(name) for name in config.schemas)})" if config.schemas else "1 = 1"
    for dataset in datasets(endpoint, session, where):
        if config.schemas and dataset.facts["schema"] not in config.schemas:
            continue  # the server's own comparison may not tell capitals apart
        if config.include and not any(fnmatchcase(dataset.name, pattern) for pattern in config.include):
            continue
        if any(fnmatchcase(dataset.name, pattern) for pattern in config.exclude):
            continue
        yield dataset


def describe(endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
    return next(datasets(endpoint, session, only(dataset)), None)


def only(dataset: Dataset) -> str:
    return f"s.name = {text(str(dataset.facts['schema']))} AND o.name = {text(str(dataset.facts['table']))}"


def datasets(endpoint: Endpoint, session: Session, where: str) -> Iterator[Dataset]:
    columns = grouped(session.rows(COLUMNS.replace("{where}", where)))
    indexes = grouped(session.rows(INDEXES.replace("{where}", where)))
    for place, schema, table, kind, rows, pages, comment in session.rows(RELATIONS.replace("{where}", where)):
        found = {row[0]: carried_of(row) for row in columns.get(place, [])}
        if not found:
            continue
        primary, unique, leading = keys(indexes.get(place, []))
        facts: dict[str, JsonValue] = {
            "schema": schema,
            "table": table,
            "kind": kind,
            "columns": remembered(found),
            "collations": {row[0]: row[6] for row in columns[place] if row[6]},
            "indexes": [list(index) for index in leading],
        }
        yield Dataset(
            endpoint_id=endpoint.endpoint_id,
            name=f"{schema}.{table}",
            kind=kind,
            columns=tuple(column_of(row[0], spelled_type(row), bool(row[5]), found[row[0]]) for row in columns[place]),
            primary_key=primary,
            unique_keys=unique,
            estimated_rows=None if rows is None or kind == "view" else int(rows),
            estimated_bytes=None if pages is None or kind == "view" else int(pages) * PAGE,
            description=comment or None,
            facts=facts,
        )


def grouped(rows: Sequence[tuple[Any, ...]]) -> dict[int, list[tuple[Any, ...]]]:
    found: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for place, *rest in rows:
        found[place].append(tuple(rest))
    return found


def spelled_type(row: tuple[Any, ...]) -> str:
    _, name, length, precision, scale, _, _, _, given, *_ = row
    return type_text(name, int(length), int(precision), int(scale)) if name else str(given)


def carried_of(row: tuple[Any, ...]) -> Carried:
    _, name, length, precision, scale, _, collation, is_assembly, given, encryption = row
    if encryption is not None:
        return refused("an encrypted column is not read: its key is not here")
    if is_assembly or not name:
        return carried(str(given), 0, 0, 0, None)
    return carried(name, int(length), int(precision), int(scale), collation)


def keys(rows: Sequence[tuple[Any, ...]]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], list[list[str]]]:
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


def drifted(session: Session, dataset: Dataset, names: Sequence[str]) -> str | None:
    found = {row[1]: spelled_type(tuple(row[1:])) for row in session.rows(COLUMNS.replace("{where}", only(dataset)))}
    return difference(found, dataset, names)


def size_of(session: Session, dataset: Dataset, table: str, first_rows: str) -> Size:
    """A bounded count, beyond it the number that the server keeps; bytes of the pages that hold the rows."""
    if dataset.facts.get("kind") == "view":
        return Size()
    counted = f"SELECT COUNT(*) FROM (SELECT 1 AS one FROM {table} {first_rows}) counted"
    rows = int(session.rows(counted)[0][0])
    told = session.rows(RELATIONS.replace("{where}", only(dataset)))
    kept, pages = (told[0][4], told[0][5]) if told else (None, None)
    if rows > COUNT_LIMIT:
        rows = max(rows, int(kept or 0))
    size = int(pages) * PAGE if pages is not None else None
    return Size(rows=rows, bytes=size, bytes_per_row=size / rows if size and rows else None)
