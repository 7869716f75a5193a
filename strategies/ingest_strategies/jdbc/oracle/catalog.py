"""What Oracle's ALL_ views say of tables, columns, keys, indexes and sizes. Needs Oracle 12.2 or newer.

https://docs.oracle.com/en/database/oracle/oracle-database/19/refrn/static-data-dictionary-views.html
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from pydantic import JsonValue

from ingest_ray.sdk.types import Dataset, Endpoint
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import Session, Size
from ingest_strategies.jdbc.oracle.config import OracleConfig
from ingest_strategies.jdbc.oracle.types import carried, type_text
from ingest_strategies.jdbc.values.column_carriers import Carried
from ingest_strategies.jdbc.values.server_columns import column_of, difference, remembered

COUNT_LIMIT = 100_000  # rows that are counted; beyond it the server's statistics tell
PLAIN_COLLATIONS = (None, "USING_NLS_COMP", "BINARY")

Key = tuple[str, str]

RELATIONS = (
    "SELECT t.owner, t.table_name, CASE WHEN m.mview_name IS NULL THEN 'table' ELSE 'materialized view' END,"
    " t.num_rows, t.avg_row_len, c.comments FROM all_tables t"
    " LEFT JOIN all_mviews m ON m.owner = t.owner AND m.mview_name = t.table_name"
    " LEFT JOIN all_tab_comments c ON c.owner = t.owner AND c.table_name = t.table_name"
    " WHERE t.nested = 'NO' AND t.secondary = 'N' AND (t.iot_type IS NULL OR t.iot_type = 'IOT') AND {where}"
    " UNION ALL SELECT t.owner, t.view_name, 'view', NULL, NULL, c.comments FROM all_views t"
    " LEFT JOIN all_tab_comments c ON c.owner = t.owner AND c.table_name = t.view_name WHERE {views} ORDER BY 1, 2"
)
COLUMNS = (
    "SELECT t.owner, t.table_name, t.column_name, t.data_type, t.data_type_owner, t.data_length, t.data_precision,"
    " t.data_scale, t.char_length, t.nullable, t.collation, c.comments FROM all_tab_cols t"
    " LEFT JOIN all_col_comments c"
    " ON c.owner = t.owner AND c.table_name = t.table_name AND c.column_name = t.column_name"
    " WHERE t.hidden_column = 'NO' AND {where} ORDER BY t.owner, t.table_name, t.column_id"
)
# A constraint that is not validated, or may be deferred to the end of a transaction, still holds for what is committed
# only where it is validated.
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


def text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def collect(endpoint: Endpoint, session: Session) -> Iterator[Dataset]:
    config = parse_config(OracleConfig, endpoint)
    owners = ", ".join(text(name) for name in config.schemas)
    owners = owners or "SELECT username FROM all_users WHERE oracle_maintained = 'N'"
    for dataset in datasets(config, endpoint, session, f"{{owner}} IN ({owners})"):
        if config.include and not any(fnmatchcase(dataset.name, pattern) for pattern in config.include):
            continue
        if any(fnmatchcase(dataset.name, pattern) for pattern in config.exclude):
            continue
        yield dataset


def describe(endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
    return next(datasets(parse_config(OracleConfig, endpoint), endpoint, session, only(dataset)), None)


def only(dataset: Dataset) -> str:
    return f"{{owner}} = {text(str(dataset.facts['schema']))} AND {{name}} = {text(str(dataset.facts['table']))}"


def asked(query: str, where: str, owner: str = "t.owner") -> str:
    """A query of the dictionary; what owner and name are called differs from view to view."""
    here = where.replace("{owner}", owner).replace("{name}", "t.table_name")
    views = where.replace("{owner}", owner).replace("{name}", "t.view_name")
    return query.replace("{where}", here).replace("{views}", views)


def datasets(config: OracleConfig, endpoint: Endpoint, session: Session, where: str) -> Iterator[Dataset]:
    columns = grouped(session.rows(asked(COLUMNS, where)))
    constraints = grouped(session.rows(asked(KEYS, where)))
    indexes = grouped(session.rows(asked(INDEXES, where, "t.table_owner")))
    for owner, table, kind, rows, row_bytes, comment in session.rows(asked(RELATIONS, where)):
        place = (owner, table)
        found = {row[0]: carried_of(row, config) for row in columns.get(place, [])}
        if not found:
            continue
        primary, unique, leading = keys(constraints.get(place, []), indexes.get(place, []))
        facts: dict[str, JsonValue] = {
            "schema": owner,
            "table": table,
            "kind": kind,
            "columns": remembered(found),
            "collations": {row[0]: row[8] for row in columns[place] if row[8] not in PLAIN_COLLATIONS},
            "indexes": [list(index) for index in leading],
        }
        yield Dataset(
            endpoint_id=endpoint.endpoint_id,
            name=f"{owner}.{table}",
            kind=kind,
            columns=tuple(
                column_of(row[0], spelled_type(row), row[7] == "Y", found[row[0]], row[9]) for row in columns[place]
            ),
            primary_key=primary,
            unique_keys=unique,
            estimated_rows=None if rows is None else int(rows),
            estimated_bytes=None if rows is None or row_bytes is None else int(rows) * int(row_bytes),
            description=comment or None,
            facts=facts,
        )


def grouped(rows: Sequence[tuple[Any, ...]]) -> dict[Key, list[tuple[Any, ...]]]:
    found: dict[Key, list[tuple[Any, ...]]] = defaultdict(list)
    for owner, table, *rest in rows:
        found[owner, table].append(tuple(rest))
    return found


def spelled_type(row: tuple[Any, ...]) -> str:
    _, name, type_owner, length, precision, scale, chars, *_ = row
    return type_text(name, length, precision, scale, chars) if is_own(name, type_owner) else f"{type_owner}.{name}"


def is_own(name: str, type_owner: str | None) -> bool:
    return type_owner is None or name == "XMLTYPE"


def carried_of(row: tuple[Any, ...], config: OracleConfig) -> Carried:
    _, name, type_owner, _, precision, scale, *_ = row
    return carried(name, precision, scale, config.number_scale, is_own(name, type_owner))


def keys(
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
    unique |= {tuple(part[1] for part in found) for found in parts.values() if found[0][0] == "UNIQUE"}
    leading = [[part[1] for part in found] for found in parts.values() if all(part[2] == "ASC" for part in found)]
    return primary, tuple(sorted(unique - {primary})), leading


def drifted(session: Session, dataset: Dataset, names: Sequence[str]) -> str | None:
    found = {row[2]: spelled_type(tuple(row[2:])) for row in session.rows(asked(COLUMNS, only(dataset)))}
    return difference(found, dataset, names)


def size_of(session: Session, dataset: Dataset, table: str) -> Size:
    """A bounded count, beyond it the server's statistics, which may be old or missing."""
    if dataset.facts.get("kind") == "view":
        return Size()
    inner = f"SELECT 1 AS one FROM {table} FETCH FIRST {COUNT_LIMIT + 1} ROWS ONLY"
    rows = int(session.rows(f"SELECT count(*) FROM ({inner}) counted")[0][0])
    told = session.rows(asked(SIZE, only(dataset)))
    statistics, row_bytes = told[0] if told else (None, None)
    if rows > COUNT_LIMIT:
        rows = max(rows, int(statistics or 0))
    per_row = float(row_bytes) + 8.0 * len(dataset.columns) if row_bytes else None
    return Size(rows=rows, bytes=int(rows * per_row) if per_row else None, bytes_per_row=per_row)
