"""Reads tables, columns, keys, indexes and sizes from Oracle's ALL_ views. Needs Oracle 12.2 or newer.

https://docs.oracle.com/en/database/oracle/oracle-database/19/refrn/static-data-dictionary-views.html
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
    group_by_table,
    joined_name,
    name_facts,
    undescribed,
)
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import Session, TableSize
from ingest_strategies.jdbc.oracle.config import OracleConfig
from ingest_strategies.jdbc.oracle.types import carrier_of, type_text
from ingest_strategies.jdbc.standard_sql import quoted_text
from ingest_strategies.jdbc.values.column_carriers import ColumnCarrier
from ingest_strategies.jdbc.values.server_columns import column_facts

COUNT_LIMIT = 100_000  # rows that are counted; beyond it the server's statistics are used
PLAIN_COLLATIONS = (None, "USING_NLS_COMP", "BINARY")

RELATIONS = (
    "SELECT t.owner, t.table_name, CASE WHEN m.mview_name IS NULL THEN 'table' ELSE 'materialized view' END,"
    " t.num_rows, t.avg_row_len, c.comments FROM all_tables t"
    " LEFT JOIN all_mviews m ON m.owner = t.owner AND m.mview_name = t.table_name"
    " LEFT JOIN all_tab_comments c ON c.owner = t.owner AND c.table_name = t.table_name"
    " WHERE t.nested = 'NO' AND t.secondary = 'N' AND (t.iot_type IS NULL OR t.iot_type = 'IOT') AND {where}"
    " UNION ALL SELECT t.owner, t.view_name, 'view', NULL, NULL, c.comments FROM all_views t"
    " LEFT JOIN all_tab_comments c ON c.owner = t.owner AND c.table_name = t.view_name WHERE {views} ORDER BY 1, 2"
)
NAMES = (
    "SELECT t.owner, t.table_name FROM all_tables t WHERE t.nested = 'NO' AND t.secondary = 'N'"
    " AND (t.iot_type IS NULL OR t.iot_type = 'IOT') AND {where}"
    " UNION ALL SELECT t.owner, t.view_name FROM all_views t WHERE {views} ORDER BY 1, 2"
)
COLUMNS = (
    "SELECT t.owner, t.table_name, t.column_name, t.data_type, t.data_type_owner, t.data_length, t.data_precision,"
    " t.data_scale, t.char_length, t.nullable, t.collation, c.comments FROM all_tab_cols t"
    " LEFT JOIN all_col_comments c"
    " ON c.owner = t.owner AND c.table_name = t.table_name AND c.column_name = t.column_name"
    " WHERE t.hidden_column = 'NO' AND {where} ORDER BY t.owner, t.table_name, t.column_id"
)
# Committed rows satisfy a constraint only where it is validated; a deferrable one is checked at the end of a transaction.
KEYS = (
    "SELECT t.owner, t.table_name, t.constraint_name, t.constraint_type, c.column_name FROM all_constraints t"
    " JOIN all_cons_columns c ON c.owner = t.owner AND c.constraint_name = t.constraint_name"
    " AND c.table_name = t.table_name WHERE t.constraint_type IN ('P', 'U') AND t.status = 'ENABLED'"
    " AND t.validated = 'VALIDATED' AND {where} ORDER BY t.owner, t.table_name, t.constraint_name, c.position"
)
INDEXES = (
    "SELECT t.table_owner, t.table_name, t.index_name, t.uniqueness, c.column_name, c.descend FROM all_indexes t"
    " JOIN all_ind_columns c ON c.index_owner = t.owner AND c.index_name = t.index_name"
    " WHERE t.index_type IN ('NORMAL', 'IOT - TOP') AND t.status <> 'UNUSABLE' AND t.visibility = 'VISIBLE' AND {where}"
    " ORDER BY t.table_owner, t.table_name, t.owner, t.index_name, c.column_position"
)
SIZE = "SELECT num_rows, avg_row_len FROM all_tables t WHERE {where}"


def collect(endpoint: Endpoint, session: Session) -> Iterator[Dataset]:
    config = parse_config(OracleConfig, endpoint)
    owners = ", ".join(quoted_text(name) for name in config.schemas)
    owners = owners or "SELECT username FROM all_users WHERE oracle_maintained = 'N'"
    where = f"{{owner}} IN ({owners})"
    try:
        found = list(read_datasets(config, endpoint, session, where))
    except SourceError:
        names = [(owner, table) for owner, table in session.rows(dictionary_query(NAMES, where))]
        found = list(
            described_one_by_one(
                endpoint,
                session,
                names,
                lambda owner, table: next(read_datasets(config, endpoint, session, name_condition(owner, table)), None),
            )
        )
    for dataset in found:
        if config.includes(dataset.name):
            yield dataset


def describe(endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
    return next(read_datasets(parse_config(OracleConfig, endpoint), endpoint, session, table_condition(dataset)), None)


def table_condition(dataset: Dataset) -> str:
    return name_condition(str(dataset.facts["schema"]), str(dataset.facts["table"]))


def name_condition(owner: str, table: str) -> str:
    return f"{{owner}} = {quoted_text(owner)} AND {{name}} = {quoted_text(table)}"


def dictionary_query(query: str, where: str, owner: str = "t.owner") -> str:
    """A query of the data dictionary; the columns of owner and name differ from view to view."""
    tables = where.replace("{owner}", owner).replace("{name}", "t.table_name")
    views = where.replace("{owner}", owner).replace("{name}", "t.view_name")
    return query.replace("{where}", tables).replace("{views}", views)


def read_datasets(config: OracleConfig, endpoint: Endpoint, session: Session, where: str) -> Iterator[Dataset]:
    columns = group_by_table(session.rows(dictionary_query(COLUMNS, where)))
    constraints = group_by_table(session.rows(dictionary_query(KEYS, where)))
    indexes = group_by_table(session.rows(dictionary_query(INDEXES, where, "t.table_owner")))
    for owner, table, kind, rows, row_bytes, comment in session.rows(dictionary_query(RELATIONS, where)):
        name = (owner, table)
        carriers = {row[0]: row_carrier(row, config) for row in columns.get(name, [])}
        if not carriers:
            reason = "the server shows no column of it to this user"
            yield undescribed(endpoint, joined_name(owner, table), reason, name_facts(owner, table))
            continue
        primary, unique, leading = keys_of(constraints.get(name, []), indexes.get(name, []))
        facts: dict[str, JsonValue] = {
            **name_facts(owner, table),
            "kind": kind,
            "columns": column_facts(carriers),
            "collations": {row[0]: row[8] for row in columns[name] if row[8] not in PLAIN_COLLATIONS},
            "indexes": [list(index) for index in leading],
        }
        yield Dataset(
            endpoint_id=endpoint.endpoint_id,
            name=joined_name(owner, table),
            kind=kind,
            columns=tuple(
                column_of(row[0], source_type_of(row), row[7] == "Y", carriers[row[0]], row[9]) for row in columns[name]
            ),
            primary_key=primary,
            unique_keys=unique,
            estimated_rows=None if rows is None else int(rows),
            estimated_bytes=None if rows is None or row_bytes is None else int(rows) * int(row_bytes),
            description=comment or None,
            facts=facts,
        )


def source_type_of(row: tuple[Any, ...]) -> str:
    _, name, type_owner, length, precision, scale, chars, *_ = row
    return type_text(name, length, precision, scale, chars) if is_own(name, type_owner) else f"{type_owner}.{name}"


def is_own(name: str, type_owner: str | None) -> bool:
    return type_owner is None or name == "XMLTYPE"


def row_carrier(row: tuple[Any, ...], config: OracleConfig) -> ColumnCarrier:
    _, name, type_owner, _, precision, scale, *_ = row
    return carrier_of(name, precision, scale, config.number_scale, is_own(name, type_owner))


def keys_of(
    constraints: Sequence[tuple[Any, ...]], indexes: Sequence[tuple[Any, ...]]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], list[list[str]]]:
    """Primary key, other unique keys, and the columns of every ascending index."""
    members: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, kind, column in constraints:
        members[name, kind].append(column)
    parts: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for index, *rest in indexes:
        parts[index].append(tuple(rest))
    primary = next((tuple(columns) for (_, kind), columns in members.items() if kind == "P"), ())
    unique = {tuple(columns) for (_, kind), columns in members.items() if kind == "U"}
    unique |= {tuple(column[1] for column in index) for index in parts.values() if index[0][0] == "UNIQUE"}
    leading = [[part[1] for part in index] for index in parts.values() if all(part[2] == "ASC" for part in index)]
    return primary, tuple(sorted(unique - {primary})), leading


def read_column_types(session: Session, dataset: Dataset) -> dict[str, str]:
    rows = session.rows(dictionary_query(COLUMNS, table_condition(dataset)))
    return {row[2]: source_type_of(tuple(row[2:])) for row in rows}


def read_size(session: Session, dataset: Dataset, table: str) -> TableSize:
    """A bounded count, beyond it the server's statistics, which may be old or missing."""
    if dataset.facts.get("kind") == "view":
        return TableSize()
    inner = f"SELECT 1 AS one FROM {table} FETCH FIRST {COUNT_LIMIT + 1} ROWS ONLY"
    rows = int(session.rows(f"SELECT count(*) FROM ({inner}) counted")[0][0])
    sizes = session.rows(dictionary_query(SIZE, table_condition(dataset)))
    statistics, row_bytes = sizes[0] if sizes else (None, None)
    if rows > COUNT_LIMIT:
        rows = max(rows, int(statistics or 0))
    per_row = float(row_bytes) + 8.0 * len(dataset.columns) if row_bytes else None
    return TableSize(rows=rows, bytes=int(rows * per_row) if per_row else None, bytes_per_row=per_row)
