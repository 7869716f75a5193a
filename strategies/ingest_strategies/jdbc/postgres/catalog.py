"""Reads relations, columns, keys, indexes and sizes from PostgreSQL's catalog. Reads no rows of a user's table."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from ingest_ray.sdk.errors import SourceChanged, SourceError
from ingest_ray.sdk.types import Column, Dataset, Endpoint
from ingest_ray.sdk.types.dataset import CAUTION
from ingest_strategies.jdbc.catalog_rows import column_of, described_one_by_one, group_by_first, joined_name, name_facts
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import Session, TableSize
from ingest_strategies.jdbc.postgres.config import PostgresConfig
from ingest_strategies.jdbc.postgres.row_security import read_policies
from ingest_strategies.jdbc.postgres.types import PgType, axis_kind, carrier_of, second_spelling
from ingest_strategies.jdbc.standard_sql import quoted_text

log = logging.getLogger(__name__)

KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table"}

INHERITED = "other tables inherit from it and are read with it, so none of its keys is unique: no key, one slice"

Rows = Sequence[Sequence[Any]]
NO_POLICIES: Mapping[int, str] = {}

COUNT_LIMIT = 100_000  # rows that are counted where there are no statistics: some 10 ms of an index or a small heap

_RELATIONS = """
SELECT c.oid::bigint, n.nspname::text, c.relname::text, c.relkind::text, c.reltuples::float8,
       {size}::bigint,
       coalesce(obj_description(c.oid, 'pg_class'), ''),
       c.relkind <> 'p' AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'
  AND n.nspname NOT LIKE 'pg\\_temp%' AND has_schema_privilege(n.oid, 'USAGE') {filter}
ORDER BY n.nspname, c.relname"""

# The size of a relation needs a lock on it, and a relation may be locked for hours.
_LOCKED = "(SELECT l.relation FROM pg_locks l WHERE l.relation IS NOT NULL AND l.mode = 'AccessExclusiveLock')"
_SIZE = f"CASE WHEN c.relkind IN ('r', 'm') AND c.oid NOT IN {_LOCKED} THEN pg_table_size(c.oid) ELSE -1 END"
_NO_SIZE = "-1"

_LOCKED_RELATIONS = """
SELECT n.nspname::text, c.relname::text, string_agg(l.pid::text, ', ')
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.mode = 'AccessExclusiveLock' AND l.pid <> pg_backend_pid() AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) {filter}
GROUP BY 1, 2 ORDER BY 1, 2"""

_COLUMNS = """
SELECT a.attrelid::bigint, a.attname::text, format_type(a.atttypid, a.atttypmod), a.atttypid::bigint,
       a.atttypmod::bigint, a.attnotnull OR coalesce(t.typnotnull, false), a.attndims::bigint,
       coalesce(l.collname::text, ''), coalesce(col_description(a.attrelid, a.attnum), ''),
       coalesce(l.collisdeterministic, true),
       CASE WHEN has_table_privilege(a.attrelid, 'SELECT') THEN 'table'
            WHEN has_column_privilege(a.attrelid, a.attnum, 'SELECT') THEN 'column' ELSE '' END
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND c.relnamespace IN (SELECT oid FROM pg_namespace n WHERE n.nspname NOT IN ('pg_catalog', 'information_schema'))
  {only}
ORDER BY a.attrelid, a.attnum"""

# One row per plain column of a usable btree; expression and partial indexes neither order nor prove uniqueness.
_INDEXES = """
SELECT i.indrelid::bigint, i.indexrelid::bigint, i.indisprimary, i.indisunique AND i.indimmediate, k.place::bigint,
       a.attname::text
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE m.amname = 'btree' AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
  AND i.indrelid >= 16384 {only}
ORDER BY 1, 2, 5"""

_TYPES = """
SELECT t.oid::bigint, t.typname::text, n.nspname::text, t.typtype::text, t.typbasetype::bigint, t.typtypmod::bigint,
       t.typelem::bigint, t.typcategory = 'A' AND t.typname NOT IN ('int2vector', 'oidvector'),
       t.typsend::text
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"""

# One relation with its columns and indexes in one row, each part as a list of lists; of the types only those that its columns use.
_ONE = f"""
WITH RECURSIVE relation(oid, name1, name2, kind, tuples, bytes, about, is_parent) AS ({{relations}}),
columns(relation, name, type, oid, mod, is_set, dimensions, order_of_text, about, is_deterministic, grant_on) AS ({{columns}}),
indexes(relation, oid, is_primary, is_unique, place, name) AS ({{indexes}}),
types(oid, name, schema, sort, base, base_mod, element, is_array, send) AS (
  {_TYPES} WHERE t.oid IN (SELECT oid FROM columns)
  UNION
  SELECT more.* FROM types known CROSS JOIN LATERAL ({_TYPES} WHERE t.oid IN (known.base, known.element)) more)
SELECT json_build_array(
  (SELECT json_agg(json_build_array(oid, name1, name2, kind, tuples, bytes, about, is_parent)) FROM relation),
  (SELECT json_agg(json_build_array(relation, name, type, oid, mod, is_set, dimensions, order_of_text, about, is_deterministic, grant_on)) FROM columns),
  (SELECT json_agg(json_build_array(relation, oid, is_primary, is_unique, place, name)) FROM indexes),
  (SELECT json_agg(json_build_array(oid, name, schema, sort, base, base_mod, element, is_array, send)) FROM types))::text"""


def types_of(rows: Rows) -> dict[int, PgType]:
    return {
        row[0]: PgType(
            row[1], row[2], row[3], base=row[4], base_mod=row[5], element=row[6], is_array=row[7], send=row[8]
        )
        for row in rows
    }


def collect(endpoint: Endpoint, session: Session) -> Iterator[Dataset]:
    config = parse_config(PostgresConfig, endpoint)
    names = ", ".join(quoted_text(name) for name in config.schemas)
    where = f"AND n.nspname IN ({names})" if names else ""
    relations = [row for row in read_relations(session, where) if config.includes(joined_name(row[1], row[2]))]
    try:
        columns, indexes = (session.rows(query.format(only="")) for query in (_COLUMNS, _INDEXES))
        types, policies = session.rows(_TYPES), read_policies(session)
    except SourceError:
        names_of = ((relation[1], relation[2]) for relation in relations)
        yield from described_one_by_one(
            endpoint, session, names_of, lambda schema, table: describe_table(endpoint, session, schema, table)
        )
        return
    yield from datasets_of(endpoint, relations, columns, indexes, types, policies=policies)


def read_relations(session: Session, where: str) -> Rows:
    """The relations; those that another session has locked are named in the log, and have no size."""
    locked = session.rows(_LOCKED_RELATIONS.format(filter=where))
    for schema, table, pids in locked:
        log.warning("%s.%s is locked by another session (process %s): collected without its size", schema, table, pids)
    try:
        return session.rows(_RELATIONS.format(size=_SIZE, filter=where))
    except SourceError as error:  # locked a moment later, or a size that the server cannot tell
        log.warning("the size of a relation could not be read, so all are left out: %s", error.message)
        return session.rows(_RELATIONS.format(size=_NO_SIZE, filter=where))


def describe(endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
    return describe_table(endpoint, session, str(dataset.facts["schema"]), str(dataset.facts["table"]))


def describe_table(endpoint: Endpoint, session: Session, schema: str, table: str) -> Dataset | None:
    """One relation as it is now, from one statement; None where it is gone."""
    oid = (
        "(SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE n.nspname = {quoted_text(schema)} AND c.relname = {quoted_text(table)})"
    )
    query = _ONE.format(
        relations=_RELATIONS.format(size=_SIZE, filter=f"AND c.oid = {oid}"),
        columns=_COLUMNS.format(only=f"AND a.attrelid = {oid}"),
        indexes=_INDEXES.format(only=f"AND i.indrelid = {oid}"),
    )
    parts: list[Rows] = [part or [] for part in json.loads(session.rows(query)[0][0])]
    return next(datasets_of(endpoint, *parts), None)


def datasets_of(
    endpoint: Endpoint,
    relations: Rows,
    column_rows: Rows,
    index_rows: Rows,
    type_rows: Rows,
    *,
    policies: Mapping[int, str] = NO_POLICIES,
) -> Iterator[Dataset]:
    types, columns, indexes = types_of(type_rows), group_by_first(column_rows), group_by_first(index_rows)
    for oid, schema, table, relkind, tuples, size, description, is_parent in relations:
        name = joined_name(schema, table)
        primary, unique, leading = keys_of(indexes.get(oid, []))
        if is_parent:
            # Neither a key nor an index nor a physical address of the parent holds for the rows of the inheriting tables.
            # https://www.postgresql.org/docs/current/ddl-inherit.html#DDL-INHERIT-CAVEATS
            primary, unique, leading = (), (), []
        rows = columns.get(oid, [])
        yield Dataset(
            endpoint_id=endpoint.endpoint_id,
            name=name,
            kind=KINDS[relkind],
            columns=tuple(catalog_column(types, row) for row in rows),
            primary_key=primary,
            unique_keys=unique,
            estimated_rows=int(tuples) if tuples >= 0 and relkind != "v" and not is_parent else None,
            estimated_bytes=size if size >= 0 and not is_parent else None,
            description=description or None,
            labels=("partitioned",) if relkind == "p" else ("inherited",) if is_parent else (),
            facts=facts_of(schema, table, relkind, types, rows, leading, is_parent=is_parent)
            | ({CAUTION: policies[oid]} if oid in policies else {}),
        )


def catalog_column(types: dict[int, PgType], row: Sequence[Any]) -> Column:
    name, type_text, oid, mod, not_null, dimensions, _, description, *_ = row
    return column_of(name, type_text, not not_null, carrier_of(types, oid, mod, dimensions), description)


def facts_of(
    schema: str,
    table: str,
    relkind: str,
    types: dict[int, PgType],
    rows: Rows,
    leading: list[list[str]],
    *,
    is_parent: bool,
) -> dict[str, JsonValue]:
    select: dict[str, JsonValue] = {}
    axis: dict[str, JsonValue] = {}
    collations: dict[str, JsonValue] = {}
    spellings: dict[str, JsonValue] = {}
    has_column_grants = any(row[-1] == "column" for row in rows)
    for name, type_text, oid, mod, _, dimensions, collation, _, is_deterministic, grant in rows:
        if form := carrier_of(types, oid, mod, dimensions).select:
            select[name] = form
        if (kind := axis_kind(types, oid, mod, type_text)) and (grant or not has_column_grants):
            axis[name] = list(kind)
        if spelling := second_spelling(types, oid, mod, is_deterministic=is_deterministic):
            spellings[name] = spelling
        if collation not in ("", "default"):
            collations[name] = collation
    indexes: list[JsonValue] = [list(index) for index in leading]
    return {
        **name_facts(schema, table),
        "relkind": relkind,
        "select": select,
        "axis": axis,
        "collations": collations,
        "spellings": spellings,
        "indexes": indexes,
        "has_tid": relkind in "rm" and not is_parent and not has_column_grants,
        **({"inherited": INHERITED} if is_parent else {}),
    }


def keys_of(
    rows: Rows,
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], list[list[str]]]:
    """Primary key, other unique keys, and the columns of every btree."""
    by_index = group_by_first(rows)
    primary: tuple[str, ...] = ()
    unique: list[tuple[str, ...]] = []
    leading = []
    for members in by_index.values():
        names = tuple(name for _, _, _, name in members)
        leading.append(list(names))
        if members[0][0]:
            primary = names
        elif members[0][1]:
            unique.append(names)
    return primary, tuple(sorted(unique)), leading


def read_column_types(session: Session, dataset: Dataset) -> dict[str, str]:
    schema, table = (quoted_text(str(dataset.facts[name])) for name in ("schema", "table"))
    return dict(
        session.rows(
            "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a"
            " JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE n.nspname = {schema} AND c.relname = {table} AND a.attnum > 0 AND NOT a.attisdropped"
        )
    )


def read_size(session: Session, dataset: Dataset, table: str) -> TableSize:
    """Statistics, scaled to the size that the files have now; a bounded count where there are none."""
    literal = f"{quoted_text(table)}::regclass"
    kind = dataset.facts["relkind"]
    if kind in ("v", "f"):
        return TableSize()
    rows = session.rows(
        "SELECT sum(greatest(c.reltuples, 0))::float8, sum(c.relpages)::bigint, sum(pg_relation_size(c.oid))::bigint,"
        " sum(pg_table_size(c.oid))::bigint, current_setting('block_size')::bigint, min(c.reltuples)::float8,"
        f" min(pg_relation_filenode(c.oid))::bigint FROM pg_class c WHERE c.oid = {literal}"
        f" OR c.oid IN (WITH RECURSIVE family(oid) AS (SELECT inhrelid FROM pg_inherits WHERE inhparent = {literal} UNION"
        " SELECT i.inhrelid FROM pg_inherits i JOIN family f ON i.inhparent = f.oid) SELECT oid FROM family)"
    )
    if not rows or rows[0][0] is None:
        raise SourceChanged(f"{dataset.name}: the table is gone", hint="collect metadata again")
    tuples, pages, heap_bytes, total_bytes, block, least, node = rows[0]
    blocks = heap_bytes // block
    if tuples > 0 and pages > 0 and least >= 0:
        count = max(1, round(tuples / pages * blocks)) if blocks else 0
    else:
        counted = session.rows(f"SELECT count(*)::bigint FROM (SELECT 1 FROM {table} LIMIT {COUNT_LIMIT + 1}) t")[0][0]
        count = counted if counted <= COUNT_LIMIT else max(counted, total_bytes // DEFAULT_ROW_BYTES)
    per_row = total_bytes / count if count and total_bytes else None
    return TableSize(count, total_bytes, per_row, blocks if dataset.facts.get("has_tid") else None, block, node)


DEFAULT_ROW_BYTES = 128  # a guess for a large heap that was never analysed; readers correct it
