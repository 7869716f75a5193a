"""Reads tables, columns, keys, indexes and sizes from MySQL's information schema; of the rows only a sample, for their size."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any

from pydantic import JsonValue

from ingest_ray.sdk.errors import SourceError
from ingest_ray.sdk.types import Column, Dataset, Endpoint
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
from ingest_strategies.jdbc.mysql.config import MysqlConfig
from ingest_strategies.jdbc.mysql.types import carrier_of, second_spelling

KINDS = {"BASE TABLE": "table", "SYSTEM VERSIONED": "table", "VIEW": "view"}
SYSTEM = "'mysql', 'information_schema', 'performance_schema', 'sys'"
COUNT_LIMIT = 100_000  # rows that are counted: some 20 ms of an index; the engine's own number may be far from it
SAMPLE_ROWS = 200  # rows whose lengths the database averages, for the bytes per row
FIXED_BYTES = 8

Key = tuple[str, str]


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def text_literal(value: str) -> str:
    """A literal of any text, the same in every sql_mode: it contains neither quotes nor backslashes."""
    return f"_utf8mb4 X'{value.encode().hex()}'" if value else "_utf8mb4 ''"


def collect(endpoint: Endpoint, session: Session) -> Iterator[Dataset]:
    config = parse_config(MysqlConfig, endpoint)
    schemas = config.schemas or ((config.database,) if config.database else ())
    where = f"table_schema NOT IN ({SYSTEM})"
    if schemas:
        where = f"BINARY table_schema IN ({', '.join(f'BINARY {text_literal(name)}' for name in schemas)})"
    try:
        found = list(read_datasets(endpoint, session, where))
    except SourceError:
        names = session.rows(
            f"SELECT table_schema, table_name FROM information_schema.tables WHERE {where} ORDER BY 1, 2"
        )
        found = list(
            described_one_by_one(
                endpoint,
                session,
                ((schema, table) for schema, table in names),
                lambda schema, table: next(read_datasets(endpoint, session, name_condition(schema, table)), None),
            )
        )
    for dataset in found:
        if config.includes(dataset.name):
            yield dataset


def describe(endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
    return next(read_datasets(endpoint, session, table_condition(dataset)), None)


def table_condition(dataset: Dataset) -> str:
    return name_condition(str(dataset.facts["schema"]), str(dataset.facts["table"]))


def name_condition(schema: str, table: str) -> str:
    """The condition of one table; names are compared byte by byte: the server's file system may distinguish case."""
    schema, table = text_literal(schema), text_literal(table)
    return (
        f"table_schema = {schema} AND table_name = {table}"
        f" AND BINARY table_schema = BINARY {schema} AND BINARY table_name = BINARY {table}"
    )


def read_datasets(endpoint: Endpoint, session: Session, where: str) -> Iterator[Dataset]:
    tables = session.rows(
        "SELECT table_schema, table_name, table_type, table_rows, data_length, table_comment, engine"
        f" FROM information_schema.tables WHERE {where} ORDER BY BINARY table_schema, BINARY table_name"
    )
    columns = group_by_table(
        session.rows(
            "SELECT table_schema, table_name, column_name, data_type, column_type, is_nullable, character_set_name,"
            " collation_name, column_comment FROM information_schema.columns"
            f" WHERE {where} ORDER BY table_schema, table_name, ordinal_position"
        )
    )
    indexes, jsons = read_indexes(session, where), read_json_columns(session, where)
    for schema, table, kind, rows, size, comment, engine in tables:
        if kind not in KINDS:
            continue
        name = (schema, table)
        if name not in columns:  # of a view whose table or function is gone, the comment is the server's error
            reason = comment or "the server shows no column of it to this user"
            yield undescribed(endpoint, joined_name(schema, table), reason, name_facts(schema, table))
            continue
        rows_of_columns = [(*row, row[0] in jsons.get(name, ())) for row in columns.get(name, [])]
        primary, unique, leading = keys_of(indexes.get(name, []))
        yield Dataset(
            endpoint_id=endpoint.endpoint_id,
            name=joined_name(schema, table),
            kind=KINDS[kind],
            columns=tuple(catalog_column(row) for row in rows_of_columns),
            primary_key=primary,
            unique_keys=unique,
            estimated_rows=int(rows) if rows is not None and kind != "VIEW" else None,
            estimated_bytes=int(size) if size is not None and kind != "VIEW" else None,
            description=comment if comment and kind != "VIEW" else None,
            facts=facts_of(schema, table, kind, engine, rows_of_columns, leading),
        )


def read_indexes(session: Session, where: str) -> dict[Key, list[tuple[Any, ...]]]:
    """One row per part of an index: its name, is unique, column, whether it orders by the whole column."""
    return group_by_table(
        session.rows(
            "SELECT table_schema, table_name, index_name, CASE WHEN non_unique = 0 THEN 1 ELSE 0 END, column_name,"
            " CASE WHEN index_type = 'BTREE' AND sub_part IS NULL THEN 1 ELSE 0 END FROM information_schema.statistics"
            f" WHERE {where} ORDER BY table_schema, table_name, index_name, seq_in_index"
        )
    )


def read_json_columns(session: Session, where: str) -> dict[Key, set[str]]:
    """MariaDB's JSON is LONGTEXT with a check (https://mariadb.com/kb/en/json/); MySQL's is a type of its own."""
    if "MariaDB" not in str(session.rows("SELECT version()")[0][0]):
        return {}
    where = where.replace("table_schema", "constraint_schema")
    try:
        rows = session.rows(
            "SELECT constraint_schema, table_name, check_clause FROM information_schema.check_constraints"
            f" WHERE {where} AND check_clause LIKE 'json\\_valid(`%`)'"
        )
    except SourceError:  # before MariaDB 10.3 a check has no table: the column is then plain text, which is as exact
        return {}
    columns: dict[Key, set[str]] = defaultdict(set)
    for schema, table, clause in rows:
        columns[schema, table].add(clause[len("json_valid(`") : -len("`)")].replace("``", "`"))
    return columns


def catalog_column(row: tuple[Any, ...]) -> Column:
    name, data_type, type_text, nullable, charset, _, comment, is_json = row
    carrier = carrier_of(data_type, type_text, charset, is_json=is_json)
    return column_of(name, type_text, nullable == "YES", carrier, comment)


def facts_of(
    schema: str, table: str, kind: str, engine: str | None, rows: list[tuple[Any, ...]], leading: list[list[str]]
) -> dict[str, JsonValue]:
    """`types`: DATA_TYPE per column; `charsets` and `collations` of its text; `spellings`: why equal values of a column can differ."""
    return {
        **name_facts(schema, table),
        "kind": kind,
        "engine": engine,
        "types": {row[0]: row[1] for row in rows},
        "charsets": {row[0]: row[4] for row in rows if row[4]},
        "collations": {row[0]: row[5] for row in rows if row[5]},
        "spellings": {row[0]: reason for row in rows if (reason := second_spelling(row[1], row[5]))},
        "indexes": [list(index) for index in leading],
    }


def keys_of(rows: list[tuple[Any, ...]]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], list[list[str]]]:
    """Primary key, other unique keys, and the columns of every index that orders by them. A key over prefixes of
    columns is also unique over the whole columns; one over an expression is no key of columns."""
    members: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for index, *rest in rows:
        members[index].append(tuple(rest))
    primary: tuple[str, ...] = ()
    unique: list[tuple[str, ...]] = []
    leading = []
    for index, parts in members.items():
        if any(part[1] is None for part in parts):
            continue
        names = tuple(part[1] for part in parts)
        if all(part[2] for part in parts):
            leading.append(list(names))
        if index == "PRIMARY":
            primary = names
        elif parts[0][0]:
            unique.append(names)
    return primary, tuple(sorted(unique)), leading


def read_column_types(session: Session, dataset: Dataset) -> dict[str, str]:
    where = table_condition(dataset)
    return dict(session.rows(f"SELECT column_name, column_type FROM information_schema.columns WHERE {where}"))


def read_size(session: Session, dataset: Dataset, table: str, selected: Collection[str]) -> TableSize:
    """`selected`: the columns that are read. A bounded count, beyond it the engine's own estimate; bytes per row are those of the first rows in Arrow."""
    if dataset.facts.get("kind") == "VIEW":
        return TableSize()
    rows = int(session.rows(f"SELECT count(*) FROM (SELECT 1 AS one FROM {table} LIMIT {COUNT_LIMIT + 1}) t")[0][0])
    if rows > COUNT_LIMIT:
        estimates = session.rows(f"SELECT table_rows FROM information_schema.tables WHERE {table_condition(dataset)}")
        rows = max(rows, int(estimates[0][0] or 0) if estimates else 0)
    columns = [column for column in dataset.columns if column.name in selected]
    wide = [column.name for column in columns[:500] if column.arrow in ("string", "binary")]
    fixed = FIXED_BYTES * (len(columns) - len(wide)) + 4 * len(wide)
    if not rows:
        return TableSize(rows=0, bytes=0)
    text_bytes = 0.0
    if wide:
        lengths = " + ".join(f"coalesce(length({quoted(name)}), 0)" for name in wide)
        # Named, because a grant may be on columns.
        selected = ", ".join(quoted(name) for name in wide)
        sampled = session.rows(f"SELECT avg({lengths}) FROM (SELECT {selected} FROM {table} LIMIT {SAMPLE_ROWS}) t")
        text_bytes = float(sampled[0][0] or 0)
    per_row = text_bytes + fixed
    return TableSize(rows=rows, bytes=int(rows * per_row), bytes_per_row=per_row)
