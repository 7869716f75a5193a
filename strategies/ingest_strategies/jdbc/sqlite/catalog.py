"""Reads a SQLite file's tables and views: `PRAGMA table_list`, `table_xinfo`, `index_list`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from ingest_ray.sdk.errors import ConfigError, SourceError
from ingest_ray.sdk.types import Dataset, Endpoint
from ingest_strategies.jdbc.catalog_rows import column_of, undescribed
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import Session, TableSize
from ingest_strategies.jdbc.sqlite.config import SqliteConfig
from ingest_strategies.jdbc.sqlite.times import calendar_test, sampled_unit
from ingest_strategies.jdbc.sqlite.types import carrier_of, is_unusual, sampled_type
from ingest_strategies.jdbc.standard_sql import quoted, quoted_text

COUNT_LIMIT = 200_000  # rows that are counted: some 10 ms
SAMPLE_ROWS = 200  # rows whose lengths the database averages, for the bytes per row
SAMPLE_LIMIT = 1_000  # rows whose storage classes are looked at
SAMPLED_COLUMNS = 100  # a statement has at most 2,000 result columns
ROWIDS = ("rowid", "_rowid_", "oid")


def text_literal(value: str) -> str:
    """A literal that also holds a NUL."""
    if "\0" in value:
        return f"CAST(x'{value.encode().hex()}' AS TEXT)"
    return quoted_text(value)


def collect(endpoint: Endpoint, session: Session) -> Iterator[Dataset]:
    config = parse_config(SqliteConfig, endpoint)
    tables = session.rows(
        "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'view', 'virtual')"
        " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    )
    for name, kind, without_rowid in tables:
        if config.includes(name):
            try:
                yield read_dataset(endpoint, session, name, kind, bool(without_rowid))
            except (SourceError, ConfigError) as error:  # a view of a dropped table, a virtual table without its module
                session.rows("SELECT 1")
                yield undescribed(endpoint, name, error.message, {"table": name})


def describe(endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
    """One table or view as it is now; None where it is gone."""
    tables = session.rows(
        f"SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND name = {text_literal(dataset.name)}"
    )
    return read_dataset(endpoint, session, tables[0][0], tables[0][1], bool(tables[0][2])) if tables else None


def read_columns(session: Session, table: str) -> list[tuple[Any, ...]]:
    """name, declared type, NOT NULL, index in the primary key (from 1; 0: not in it). Hidden columns are left out."""
    return session.rows(
        f'SELECT name, type, "notnull", pk FROM pragma_table_xinfo({text_literal(table)}) WHERE hidden <> 1 ORDER BY cid'
    )


def read_dataset(endpoint: Endpoint, session: Session, name: str, kind: str, without_rowid: bool) -> Dataset:
    rows = read_columns(session, name)
    names = {row[0].lower() for row in rows}
    primary = tuple(row[0] for row in sorted((row for row in rows if row[3]), key=lambda row: row[3]))
    # An INTEGER PRIMARY KEY is the rowid; only it and the keys of WITHOUT ROWID tables exclude NULL by themselves.
    is_rowid = len(primary) == 1 and any(row[0] == primary[0] and row[1].upper() == "INTEGER" for row in rows)
    unique, indexes, spellings = read_indexes(session, name)
    facts: dict[str, JsonValue] = {
        "table": name,
        "indexes": [*indexes, *([list(primary)] if is_rowid else [])],
        "spellings": spellings,
    }
    types, units = sample_facts(parse_config(SqliteConfig, endpoint), session, name, rows)
    facts |= {"types": dict(types), "integer_time": dict(units)}
    free = next((alias for alias in ROWIDS if alias not in names), None)
    if kind == "table" and not without_rowid and free:
        facts["rowid"] = free
    return Dataset(
        endpoint_id=endpoint.endpoint_id,
        name=name,
        kind="view" if kind == "view" else "table",
        columns=tuple(
            column_of(
                row[0],
                row[1],
                is_nullable(row, is_key_filled=without_rowid or is_rowid),
                carrier_of(types.get(row[0], row[1])),
            )
            for row in rows
        ),
        primary_key=primary,
        unique_keys=tuple(key for key in unique if key != primary),
        facts=facts,
    )


def sample_facts(
    config: SqliteConfig, session: Session, table: str, rows: list[tuple[Any, ...]]
) -> tuple[dict[str, str], dict[str, str]]:
    """Types: what a person named, or the first rows of a column of unusual type hold, in the place of declared ones. Units:
    what the integers of a time count, where the person did not say it."""
    types = {row[0]: named for row in rows if (named := config.type_of(table, row[0]))}
    unusual = [row for row in rows if row[0] not in types and is_unusual(row[1])]
    times = [
        row[0]
        for row in rows
        if config.integer_time is None and carrier_of(types.get(row[0], row[1])).kind in ("date", "timestamp")
    ]
    sampled = read_sample(session, table, [row[0] for row in unusual], times)
    types |= {row[0]: sampled_type(row[1], sampled[row[0]].classes) for row in unusual if row[0] in sampled}
    units = {
        name: sampled_unit(sample.lowest, sample.highest, is_calendar=sample.is_calendar)
        for name in times
        if (sample := sampled.get(name)) is not None and sample.lowest is not None and sample.highest is not None
    }
    return types, units


@dataclass(frozen=True)
class ColumnSample:
    """The storage classes of the first rows that are not NULL, and of their integers the range and the form."""

    classes: frozenset[str]
    lowest: int | None = None
    highest: int | None = None
    is_calendar: bool = False


def read_sample(session: Session, table: str, unusual: list[str], times: list[str]) -> dict[str, ColumnSample]:
    """By column; empty where the rows cannot be read, as those of a broken view: its reader says why."""
    samples: dict[str, ColumnSample] = {}
    names = [*unusual, *times]
    for start in range(0, len(names), SAMPLED_COLUMNS):
        part = names[start : start + SAMPLED_COLUMNS]
        parts = []
        for name in part:
            column = quoted(name)
            integer = f"CASE WHEN typeof({column}) = 'integer' THEN {column} END"
            parts += [
                f"group_concat(DISTINCT nullif(typeof({column}), 'null'))",
                f"min({integer})",
                f"max({integer})",
                f"coalesce(min({calendar_test(integer)}), 0)",
            ]
        selected = ", ".join(quoted(name) for name in part)
        try:
            values = session.rows(
                f"SELECT {', '.join(f'{sql} AS s{index}' for index, sql in enumerate(parts))}"
                f" FROM (SELECT {selected} FROM {quoted(table)} LIMIT {SAMPLE_LIMIT})"
            )[0]
        except SourceError:
            return {}
        for index, name in enumerate(part):
            classes, lowest, highest, is_calendar = values[4 * index : 4 * index + 4]
            samples[name] = ColumnSample(
                frozenset(classes.split(",")) if classes else frozenset(), lowest, highest, bool(is_calendar)
            )
    return samples


def is_nullable(row: tuple[Any, ...], *, is_key_filled: bool) -> bool:
    return not row[2] and not (row[3] and is_key_filled)


def read_indexes(session: Session, table: str) -> tuple[list[tuple[str, ...]], list[JsonValue], dict[str, JsonValue]]:
    """Unique keys, and the columns of every index: only whole ones, over plain columns in their own collation. And the columns
    of unique keys whose equal values can differ, with the reason (https://www.sqlite.org/datatype3.html#collating_sequences)."""
    rows = session.rows(
        'SELECT l.name, l."unique", i.name, i.coll, coalesce(i."desc", 0) FROM pragma_index_list('
        f"{text_literal(table)}) l, pragma_index_xinfo(l.name) i WHERE l.partial = 0 AND i.key = 1 ORDER BY l.seq, i.seqno"
    )
    members: dict[str, list[tuple[Any, ...]]] = {}
    for index, *rest in rows:
        members.setdefault(index, []).append(tuple(rest))
    unique: list[tuple[str, ...]] = []
    plain: list[JsonValue] = []
    spellings: dict[str, JsonValue] = {}
    for parts in members.values():
        if any(part[1] is None for part in parts):
            continue  # an expression
        names = [part[1] for part in parts]
        if all(part[2] == "BINARY" for part in parts):
            plain.append(list(names))
        if parts[0][0]:
            unique.append(tuple(names))
            spellings |= {
                part[1]: f"collation '{part[2]}' holds texts equal that differ" for part in parts if part[2] != "BINARY"
            }
    return sorted(unique), plain, spellings


def read_column_types(session: Session, dataset: Dataset) -> dict[str, str]:
    return {row[0]: row[1] for row in read_columns(session, str(dataset.facts["table"]))}


def read_size(session: Session, dataset: Dataset) -> TableSize:
    """A bounded count, then the span of the rowid; bytes per row of the first rows, averaged by the database."""
    table = quoted(str(dataset.facts["table"]))
    lengths = " + ".join(
        f"coalesce(length(CAST({quoted(column.name)} AS BLOB)), 0)" for column in dataset.columns[:500]
    )
    row_bytes = session.rows(f"SELECT avg({lengths}) FROM (SELECT * FROM {table} LIMIT {SAMPLE_ROWS})")[0][0]
    rows = session.rows(f"SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT {COUNT_LIMIT + 1})")[0][0]
    rowid = dataset.facts.get("rowid")
    if rows > COUNT_LIMIT and rowid:
        first = session.rows(f"SELECT {rowid} FROM {table} ORDER BY {rowid} LIMIT 1")[0][0]
        last = session.rows(f"SELECT {rowid} FROM {table} ORDER BY {rowid} DESC LIMIT 1")[0][0]
        rows = max(rows, min(last - first + 1, file_rows(session, float(row_bytes or 1))))
    elif rows > COUNT_LIMIT:
        rows = max(rows, file_rows(session, float(row_bytes or 1)))
    # Arrow keeps eight bytes where SQLite keeps one of a small number.
    per_row = float(row_bytes) + 4 * len(dataset.columns) if row_bytes is not None else None
    return TableSize(rows=rows, bytes=int(rows * per_row) if per_row else None, bytes_per_row=per_row)


def file_rows(session: Session, row_bytes: float) -> int:
    pages, page_bytes = session.rows(
        "SELECT (SELECT page_count FROM pragma_page_count), page_size FROM pragma_page_size"
    )[0]
    return int(pages * page_bytes / max(1.0, row_bytes))
