"""Section H of the conformance list for SQLite, where any row may hold any type, whatever its column declares."""

import datetime as dt
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.types import Fidelity
from ingest_ray.testing.servers.postgres import SqliteMaker

STAMP = "timestamp[us]"
# declared type, stored value, Arrow type, value in Python
FITTING: list[tuple[str, Any, str, Any]] = [
    ("INTEGER", -(2**63), "int64", -(2**63)),
    ("UNSIGNED BIG INT", 7, "int64", 7),
    ("TINYINT", 300, "int64", 300),
    ("REAL", 0.1, "float64", 0.1),
    ("DOUBLE PRECISION", float("inf"), "float64", float("inf")),
    ("FLOAT", 3, "float64", 3.0),
    ("VARCHAR(3)", "longer than three \U0001f600", "string", "longer than three \U0001f600"),
    ("TEXT", "nul\x00inside", "string", "nul\x00inside"),
    ("TEXT", 12, "string", "12"),
    ("BLOB", b"\x00\xff", "binary", b"\x00\xff"),
    ("BOOLEAN", 1, "bool", True),
    ("BOOLEAN", "FALSE", "bool", False),
    ("DECIMAL(10,2)", 12.34, "decimal128(10, 2)", Decimal("12.34")),
    ("DECIMAL(10,2)", "0.10", "decimal128(10, 2)", Decimal("0.10")),
    ("DECIMAL(18,4)", 99999999999.1234, "decimal128(18, 4)", Decimal("99999999999.1234")),
    ("NUMERIC(60,0)", 2**62, "decimal256(60, 0)", Decimal(2**62)),
    ("NUMERIC", 0.1, "string", "0.1"),
    ("NUMERIC", 1 / 3, "string", "0.3333333333333333"),
    ("NUMERIC", 2**63 - 1, "string", "9223372036854775807"),
    ("DATE", "2026-02-28", "date32", dt.date(2026, 2, 28)),
    ("DATE", "2026-02-28 00:00:00", "date32", dt.date(2026, 2, 28)),
    ("DATETIME", "2026-02-28 12:34:56", STAMP, dt.datetime(2026, 2, 28, 12, 34, 56)),
    ("DATETIME", "2026-02-28T12:34", STAMP, dt.datetime(2026, 2, 28, 12, 34)),
    ("DATETIME", "2026-02-28", STAMP, dt.datetime(2026, 2, 28)),
    ("TIMESTAMP", "2026-02-28 12:34:56.789012", STAMP, dt.datetime(2026, 2, 28, 12, 34, 56, 789012)),
    ("TIMESTAMP", "2026-02-28T12:34:56.789Z", STAMP, dt.datetime(2026, 2, 28, 12, 34, 56, 789000)),
    ("TIMESTAMP", "2026-02-28T12:34:56+02:00", STAMP, dt.datetime(2026, 2, 28, 10, 34, 56)),
    ("TIMESTAMP", 1_700_000_000, STAMP, dt.datetime(2023, 11, 14, 22, 13, 20)),
    ("TIMESTAMP", -1, STAMP, dt.datetime(1969, 12, 31, 23, 59, 59)),
    ("TIME", "12:34", "time64[us]", dt.time(12, 34)),
    ("TIME", "12:34:56.5", "time64[us]", dt.time(12, 34, 56, 500000)),
    ("JSON", '{"a": 12345678901234567890123}', "string", '{"a": 12345678901234567890123}'),
    ("UUID", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "string", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("", 1.5, "string", "1.5"),
    ("", 7, "string", "7"),
    ("STRANGE", "x", "string", "x"),
]

# declared type, stored value, raw value in quarantine
MISFITS: list[tuple[str, Any, Any]] = [
    ("INTEGER", "abc", "abc"),
    ("INTEGER", 1.5, "1.5"),
    ("INTEGER", "nul\x00inside", "nul\x00inside"),
    ("INTEGER", b"\x01", "X'01'"),
    ("INTEGER", "99999999999999999999", "1.0e+20"),
    ("REAL", "it's", "it's"),
    ("TEXT", b"\x01", "X'01'"),
    ("BLOB", "text", "text"),
    ("BOOLEAN", 2, 2),
    ("BOOLEAN", "yes", "yes"),
    ("DECIMAL(10,2)", 12.345, "12.345"),
    ("DECIMAL(10,2)", "abc", "abc"),
    ("DECIMAL(4,2)", 123, 123),
    ("DATE", "2026-02-30", "2026-02-30"),
    ("DATE", "2026-02-28 10:00:00", "2026-02-28 10:00:00"),
    ("DATETIME", "yesterday", "yesterday"),
    ("DATETIME", "2026-02-28 12:34:56.1234567", "2026-02-28 12:34:56.1234567"),
    ("DATETIME", 2460000.5, "2460000.5"),
    ("DATETIME", 9_000_000_000_000_000_000, 9_000_000_000_000_000_000),
    ("TIME", "24:00", "24:00"),
    ("TIME", "25:00:00", "25:00:00"),
    ("", b"\x01", "X'01'"),
]


def fill(path: Path, rows: list[tuple[int, Any]]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
        connection.commit()


@pytest.mark.parametrize(("kind", "stored", "arrow", "value"), FITTING)
def test_h65_what_fits_arrives_exactly(
    kind: str, stored: Any, arrow: str, value: Any, sqlite_file: SqliteMaker, lite_unit: Any
) -> None:
    path = sqlite_file(f"CREATE TABLE t (id integer PRIMARY KEY, c {kind})")
    fill(path, [(i, stored if i % 2 else None) for i in range(10)])
    rehearsal = lite_unit(path, "t", rows_per_slice=4)
    rows = rehearsal.run().rows
    assert rehearsal.outcome.rejects == []
    assert {row["id"]: row["c"] for row in rows} == {i: value if i % 2 else None for i in range(10)}
    column = rehearsal.spec.dataset.column("c")
    assert column is not None
    assert column.arrow == arrow
    assert column.fidelity is (Fidelity.WIDENED if kind in ("", "STRANGE") else Fidelity.EXACT)


@pytest.mark.parametrize(("kind", "stored", "raw"), MISFITS)
def test_h66_h70_what_does_not_fit_is_in_quarantine_with_its_raw_value(
    kind: str, stored: Any, raw: Any, sqlite_file: SqliteMaker, lite_unit: Any
) -> None:
    path = sqlite_file(f"CREATE TABLE t (id integer PRIMARY KEY, c {kind})")
    fill(path, [(i, stored if i in (4, 7) else None) for i in range(10)])
    rehearsal = lite_unit(path, "t", rows_per_slice=1000)
    rows = rehearsal.run().rows
    assert sorted(row["id"] for row in rows) == [0, 1, 2, 3, 5, 6, 8, 9]
    found = [(r.raw["id"], r.column) for r in rehearsal.outcome.rejects]
    assert found == [(4, "c"), (7, "c")]
    assert str(rehearsal.outcome.rejects[0].raw["c"]) == str(raw)


def test_h66_text_that_is_no_utf8_is_in_quarantine(sqlite_file: SqliteMaker, lite_unit: Any) -> None:
    path = sqlite_file(
        "CREATE TABLE t (id integer PRIMARY KEY, c text)",
        "INSERT INTO t VALUES (1, 'fine'), (2, CAST(x'66ff6f' AS TEXT)), (3, 'fine, too')",
    )
    rehearsal = lite_unit(path, "t")
    assert sorted(row["id"] for row in rehearsal.run().rows) == [1, 3]
    assert [(r.raw["id"], r.column) for r in rehearsal.outcome.rejects] == [(2, "c")]


@pytest.mark.parametrize(
    ("unit", "value"), [("milliseconds", 1_700_000_000_123), ("microseconds", 1_700_000_000_123_000)]
)
def test_what_an_integer_counts_is_declared_at_the_endpoint(
    unit: str, value: int, sqlite_file: SqliteMaker, lite_unit: Any
) -> None:
    path = sqlite_file("CREATE TABLE t (id integer PRIMARY KEY, c datetime)", f"INSERT INTO t VALUES (1, {value})")
    rows = lite_unit(path, "t", options={"integer_time": unit}).run().rows
    assert rows[0]["c"] == dt.datetime(2023, 11, 14, 22, 13, 20, 123000)


@pytest.mark.parametrize(
    ("kind", "stored", "value"),
    [
        ("DATETIME", 1_700_000_000_123, dt.datetime(2023, 11, 14, 22, 13, 20, 123000)),
        ("TIMESTAMP", 1_700_000_000_123_456, dt.datetime(2023, 11, 14, 22, 13, 20, 123456)),
        ("DATE", "20240115", dt.date(2024, 1, 15)),
        ("DATETIME", "20240115093000", dt.datetime(2024, 1, 15, 9, 30)),
        ("DATE", 1_705_276_800_000, dt.date(2024, 1, 15)),
    ],
)
def test_the_size_of_integers_shows_what_they_count(
    kind: str, stored: Any, value: Any, sqlite_file: SqliteMaker, lite_unit: Any
) -> None:
    path = sqlite_file(f"CREATE TABLE t (id integer PRIMARY KEY, c {kind})")
    fill(path, [(1, None), (2, stored)])
    rehearsal = lite_unit(path, "t")
    assert [row["c"] for row in rehearsal.run().rows] == [None, value]


def test_an_integer_that_counts_another_unit_than_its_column_is_in_quarantine(
    sqlite_file: SqliteMaker, lite_unit: Any
) -> None:
    path = sqlite_file("CREATE TABLE t (id integer PRIMARY KEY, c datetime)")
    fill(path, [*((i, 1_700_000_000 + i) for i in range(2_000)), (2_000, 1_700_000_000_123)])
    rehearsal = lite_unit(path, "t", rows_per_slice=10_000)
    assert len(rehearsal.run().rows) == 2_000
    assert [r.raw for r in rehearsal.outcome.rejects] == [{"id": 2_000, "c": "1700000000123"}]


@pytest.mark.parametrize(
    ("kind", "stored", "arrow", "values"),
    [
        ("POINT", ["POINT(1 2)", "POINT(3 4)"], "string", ["POINT(1 2)", "POINT(3 4)"]),
        ("POINT", [b"\x01\x02"], "binary", [b"\x01\x02"]),
        ("GEOMETRY", [b"\x01"], "binary", [b"\x01"]),
        ("FLOATING POINT", [2.5, 3, -1], "float64", [2.5, 3.0, -1.0]),
        ("FLOATING POINT", [3], "float64", [3.0]),
        ("PRINTABLE", ["a", 7], "string", ["a", "7"]),
        ("POINTER", [7], "int64", [7]),
        ("POINT", [], "string", []),
    ],
)
def test_a_type_that_sqlite_takes_for_an_integer_by_accident_is_sampled(
    kind: str, stored: list[Any], arrow: str, values: list[Any], sqlite_file: SqliteMaker, lite_unit: Any
) -> None:
    path = sqlite_file(f"CREATE TABLE t (id integer PRIMARY KEY, c {kind})")
    fill(path, list(enumerate(stored)))
    rehearsal = lite_unit(path, "t")
    assert ([row["c"] for row in rehearsal.run().rows], rehearsal.outcome.rejects) == (values, [])
    column = rehearsal.spec.dataset.column("c")
    assert column is not None
    assert column.arrow == arrow


def test_a_person_names_the_type_of_a_column(sqlite_file: SqliteMaker, lite_unit: Any) -> None:
    path = sqlite_file("CREATE TABLE t (id integer PRIMARY KEY, c integer, d text)")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO t VALUES (1, 'a', '2024-01-15'), (2, 'b', NULL)")
        connection.commit()
    rehearsal = lite_unit(path, "t", options={"types": {"t.c": "TEXT", "*.d": "DATE"}})
    assert rehearsal.run().rows == [{"id": 1, "c": "a", "d": dt.date(2024, 1, 15)}, {"id": 2, "c": "b", "d": None}]


def test_h67_types_do_not_depend_on_the_first_rows(sqlite_file: SqliteMaker, lite_unit: Any) -> None:
    """The driver infers a column's type from its first rows: NULLs, then whole numbers, then others."""
    path = sqlite_file(
        "CREATE TABLE t (id integer PRIMARY KEY, r real, s text, d decimal(9,1), b blob, v)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t (id) SELECT i FROM n",
        "UPDATE t SET r = id, s = id, d = id, b = CAST(id AS BLOB), v = id WHERE id > 1500",
        "UPDATE t SET r = 0.5, d = 0.5, v = 'x' WHERE id > 2500",
    )
    rehearsal = lite_unit(path, "t", rows_per_slice=700)
    rehearsal.page_bytes = 20_000
    rows = {row["id"]: row for row in rehearsal.run().rows}
    assert len(rows) == 3000
    assert rows[1] == {"id": 1, "r": None, "s": None, "d": None, "b": None, "v": None}
    assert rows[2000] == {"id": 2000, "r": 2000.0, "s": "2000", "d": Decimal("2000.0"), "b": b"2000", "v": "2000"}
    assert rows[3000]["r"] == 0.5
    assert rows[3000]["v"] == "x"


def test_a_table_of_two_hundred_columns_with_a_misfit(sqlite_file: SqliteMaker, lite_unit: Any) -> None:
    columns = ", ".join(f"c{i} integer" for i in range(200))
    path = sqlite_file(
        f"CREATE TABLE t (id integer PRIMARY KEY, {columns})", "INSERT INTO t (id, c150) VALUES (1, 5), (2, 'x')"
    )
    rehearsal = lite_unit(path, "t")
    assert [row["c150"] for row in rehearsal.run().rows] == [5]
    assert rehearsal.outcome.rejects[0].raw["c150"] == "x"
    assert rehearsal.outcome.rejects[0].column == "c150"
