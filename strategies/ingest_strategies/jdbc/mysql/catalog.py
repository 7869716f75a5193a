"""What MySQL's information schema says: tables, columns, keys, indexes, sizes. Reads rows only to weigh a few of them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from pydantic import JsonValue

from ingest_ray.sdk.errors import SourceError
from ingest_ray.sdk.types import Column, Dataset, Endpoint
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import Session, Size
from ingest_strategies.jdbc.mysql.config import MysqlConfig
from ingest_strategies.jdbc.mysql.types import carried

KINDS = {"BASE TABLE": "table", "SYSTEM VERSIONED": "table", "VIEW": "view"}
SYSTEM = "'mysql', 'information_schema', 'performance_schema', 'sys'"
COUNT_LIMIT = 100_000  # rows that are counted: some 20 ms of an index; the engine's own number may be far off
SAMPLE_ROWS = 200  # rows that are weighed, inside of the database, to tell bytes per row
FIXED_BYTES = 8

Key = tuple[str, str]


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def text(value: str) -> str:
    """A literal of any text, the same in every sql_mode: neither quotes nor backslashes are in it."""
    return f"_utf8mb4 X'{value.encode().hex()}'" if value else "_utf8mb4 ''"


def collect(endpoint: Endpoint, session: Session) -> Iterator[Dataset]:
    config = parse_config(MysqlConfig, endpoint)
    schemas = config.schemas or ((config.database,) if config.database else ())
    where = f"table_schema NOT IN ({SYSTEM})"
    if schemas:
        where = f"BINARY table_schema IN ({', '.join(f'BINARY {text(name)}' for name in schemas)})"
    for dataset in datasets(endpoint, session, where):
        if config.include and not any(fnmatchcase(dataset.name, pattern) for pattern in config.include):
            continue
        if any(fnmatchcase(dataset.name, pattern) for pattern in config.exclude):
            continue
        yield dataset


def describe(endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
    return next(datasets(endpoint, session, only(dataset)), None)


def only(dataset: Dataset) -> str:
    """The condition of one table; names are compared byte by byte, as the server's files may be."""
    schema, table = (text(str(dataset.facts[name])) for name in ("schema", "table"))
    return (
        f"table_schema = {schema} AND table_name = {table}"
        f" AND BINARY table_schema = BINARY {schema} AND BINARY table_name = BINARY {table}"
    )


def datasets(endpoint: Endpoint, session: Session, where: str) -> Iterator[Dataset]:
    tables = session.rows(
        "SELECT table_schema, table_name, table_type, table_rows, data_length, table_comment, engine"
        f" FROM information_schema.tables WHERE {where} ORDER BY BINARY table_schema, BINARY table_name"
    )
    columns = grouped(
        session.rows(
            "SELECT table_schema, table_name, column_name, data_type, column_type, is_nullable, character_set_name,"
            " collation_name, column_comment FROM information_schema.columns"
            f" WHERE {where} ORDER BY table_schema, table_name, ordinal_position"
        )
    )
    indexes, jsons = indexes_of(session, where), json_columns(session, where)
    for schema, table, kind, rows, size, comment, engine in tables:
        if kind not in KINDS:
            continue
        place = (schema, table)
        described = [(*row, row[0] in jsons.get(place, ())) for row in columns.get(place, [])]
        primary, unique, leading = keys(indexes.get(place, []))
        yield Dataset(
            endpoint_id=endpoint.endpoint_id,
            name=f"{schema}.{table}",
            kind=KINDS[kind],
            columns=tuple(column_of(row) for row in described),
            primary_key=primary,
            unique_keys=unique,
            estimated_rows=int(rows) if rows is not None and kind != "VIEW" else None,
            estimated_bytes=int(size) if size is not None and kind != "VIEW" else None,
            description=comment if comment and kind != "VIEW" else None,
            facts=facts_of(schema, table, kind, engine, described, leading),
        )


def grouped(rows: list[tuple[Any, ...]]) -> dict[Key, list[tuple[Any, ...]]]:
    found: dict[Key, list[tuple[Any, ...]]] = defaultdict(list)
    for schema, table, *rest in rows:
        found[schema, table].append(tuple(rest))
    return found


def indexes_of(session: Session, where: str) -> dict[Key, list[tuple[Any, ...]]]:
    """index, is unique, column, whether it orders by the whole column: one row per part of an index."""
    return grouped(
        session.rows(
            "SELECT table_schema, table_name, index_name, CASE WHEN non_unique = 0 THEN 1 ELSE 0 END, column_name,"
            " CASE WHEN index_type = 'BTREE' AND sub_part IS NULL THEN 1 ELSE 0 END FROM information_schema.statistics"
            f" WHERE {where} ORDER BY table_schema, table_name, index_name, seq_in_index"
        )
    )


def json_columns(session: Session, where: str) -> dict[Key, set[str]]:
    """MariaDB's JSON is LONGTEXT with a check (https://mariadb.com/kb/en/json/); MySQL's is a type of its own."""
    if "MariaDB" not in str(session.rows("SELECT version()")[0][0]):
        return {}
    where = where.replace("table_schema", "constraint_schema")
    try:
        rows = session.rows(
            "SELECT constraint_schema, table_name, check_clause FROM information_schema.check_constraints"
            f" WHERE {where} AND check_clause LIKE 'json\\_valid(`%`)'"
        )
    except SourceError:  # before MariaDB 10.3 a check has no table: the column is then plain text, as exact
        return {}
    found: dict[Key, set[str]] = defaultdict(set)
    for schema, table, clause in rows:
        found[schema, table].add(clause[len("json_valid(`") : -len("`)")].replace("``", "`"))
    return found


def column_of(row: tuple[Any, ...]) -> Column:
    name, kind, type_text, nullable, charset, _, comment, is_json = row
    found = carried(kind, type_text, charset, is_json=is_json)
    return Column(
        name=name,
        source_type=type_text,
        arrow=found.arrow,
        nullable=nullable == "YES",
        logical=found.logical,
        fidelity=found.fidelity,
        note=found.note,
        description=comment or None,
    )


def facts_of(
    schema: str, table: str, kind: str, engine: str | None, rows: list[tuple[Any, ...]], leading: list[list[str]]
) -> dict[str, JsonValue]:
    """`types`: DATA_TYPE per column; `charsets` and `collations` of its text."""
    return {
        "schema": schema,
        "table": table,
        "kind": kind,
        "engine": engine,
        "types": {row[0]: row[1] for row in rows},
        "charsets": {row[0]: row[4] for row in rows if row[4]},
        "collations": {row[0]: row[5] for row in rows if row[5]},
        "indexes": [list(index) for index in leading],
    }


def keys(rows: list[tuple[Any, ...]]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], list[list[str]]]:
    """Primary key, other unique keys, and the columns of every index that orders by them. A key over the beginnings of
    columns is unique over the whole columns, too; one over an expression says nothing of columns."""
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


def drifted(session: Session, dataset: Dataset, names: Sequence[str]) -> str | None:
    """What no longer is as the catalog says, of the columns that are to be read."""
    found = dict(session.rows(f"SELECT column_name, column_type FROM information_schema.columns WHERE {only(dataset)}"))
    if not found:
        return "the table is gone"
    for name in names:
        column = dataset.column(name)
        if column is not None and name not in found:
            return f"column '{name}' is gone"
        if column is not None and found[name] != column.source_type:
            return f"column '{name}' was '{column.source_type}' and is '{found[name]}'"
    return None


def size_of(session: Session, dataset: Dataset, table: str) -> Size:
    """A bounded count, beyond it the engine's own estimate; bytes per row of the first rows, as Arrow holds them."""
    if dataset.facts.get("kind") == "VIEW":
        return Size()
    rows = int(session.rows(f"SELECT count(*) FROM (SELECT 1 AS one FROM {table} LIMIT {COUNT_LIMIT + 1}) t")[0][0])
    if rows > COUNT_LIMIT:
        told = session.rows(f"SELECT table_rows FROM information_schema.tables WHERE {only(dataset)}")
        rows = max(rows, int(told[0][0] or 0) if told else 0)
    wide = [column.name for column in dataset.columns[:500] if column.arrow in ("string", "binary")]
    fixed = FIXED_BYTES * (len(dataset.columns) - len(wide)) + 4 * len(wide)
    if not rows:
        return Size(rows=0, bytes=0)
    weight = 0.0
    if wide:
        lengths = " + ".join(f"coalesce(length({quoted(name)}), 0)" for name in wide)
        sampled = session.rows(f"SELECT avg({lengths}) FROM (SELECT * FROM {table} LIMIT {SAMPLE_ROWS}) t")
        weight = float(sampled[0][0] or 0)
    per_row = weight + fixed
    return Size(rows=rows, bytes=int(rows * per_row), bytes_per_row=per_row)
