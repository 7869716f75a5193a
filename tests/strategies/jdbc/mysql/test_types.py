"""Section H of the conformance list for MariaDB: every type arrives exactly, as declared, or in quarantine."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from ingest_ray.sdk.types import Fidelity
from tests.strategies.jdbc.maria import Maria

pytestmark = pytest.mark.services

TYPES: list[tuple[str, str, list[tuple[str, Any]]]] = [
    ("tinyint", "int8", [("-128", -128), ("127", 127)]),
    ("tinyint(1)", "int8", [("1", 1), ("0", 0), ("2", 2), ("-128", -128)]),
    ("boolean", "int8", [("true", 1)]),
    ("tinyint unsigned", "uint8", [("255", 255)]),
    ("smallint", "int16", [("-32768", -32768)]),
    ("smallint unsigned", "uint16", [("65535", 65535)]),
    ("mediumint", "int32", [("-8388608", -8388608)]),
    ("mediumint unsigned", "uint32", [("16777215", 16777215)]),
    ("int", "int32", [("-2147483648", -(2**31))]),
    ("int unsigned zerofill", "uint32", [("4294967295", 2**32 - 1), ("7", 7)]),
    ("bigint", "int64", [("-9223372036854775808", -(2**63)), ("9223372036854775807", 2**63 - 1)]),
    ("bigint unsigned", "uint64", [("18446744073709551615", 2**64 - 1)]),
    ("decimal(12, 2)", "decimal128(12, 2)", [("-1234567890.12", Decimal("-1234567890.12"))]),
    ("decimal(38, 10)", "decimal128(38, 10)", [("1234567890123456789012345678.0123456789",) * 2]),
    ("decimal(65, 30)", "decimal256(65, 30)", [("-" + "9" * 35 + "." + "9" * 30,) * 2]),
    ("float", "float32", [("16777217", 16777216.0), ("0.1", 0.10000000149011612), ("3.4028234663852886e38",) * 2]),
    ("float(7, 2)", "float32", [("12345.67", 12345.669921875)]),
    ("double", "float64", [("0.1", 0.1), ("1.7976931348623157e308",) * 2, ("5e-324",) * 2, ("1e-300", 1e-300)]),
    ("double(20, 4)", "float64", [("12345.6789", 12345.6789)]),
    ("bit(1)", "uint64", [("1", 1)]),
    ("bit(9)", "uint64", [("b'101000001'", 0b101000001)]),
    ("bit(64)", "uint64", [("18446744073709551615", 2**64 - 1)]),
    ("year", "int16", [("1901", 1901), ("2155", 2155), ("0000", 0)]),
    ("date", "date32", [("'0001-01-01'", date(1, 1, 1)), ("'9999-12-31'", date(9999, 12, 31))]),
    ("time(6)", "string", [("'-838:59:59.999999'",) * 2, ("'24:00:00'", "24:00:00.000000")]),
    ("time", "string", [("'838:59:59'", "838:59:59"), ("'-00:00:01'", "-00:00:01")]),
    ("datetime", "timestamp[us]", [("'1000-01-01 00:00:00'", datetime(1000, 1, 1))]),
    ("datetime(6)", "timestamp[us]", [("'9999-12-31 23:59:59.999999'", datetime(9999, 12, 31, 23, 59, 59, 999999))]),
    ("timestamp(6)", "timestamp[us, UTC]", [("'2026-10-25 00:30:00.000001'", datetime(2026, 10, 25, 0, 30, 0, 1, UTC))]),
    ("char(8)", "string", [("'ab  '", "ab")]),
    ("varchar(40)", "string", [("'ab  '", "ab  "), ("''", ""), ("x'F09F9880'", "\U0001f600")]),
    ("varchar(40) character set latin1", "string", [("'é€'", "é€")]),
    ("varchar(40) character set utf16", "string", [("'漢'", "漢")]),
    ("longtext", "string", [("repeat('ä', 70000)", "ä" * 70000)]),
    ("json", "string", [('\'{"a": 123456789012345678901234567890, "a": 1.10}\'',) * 2]),
    ("enum('x', 'it''s', 'ü')", "string", [("'it''s'", "it's"), ("3", "ü")]),
    ("set('a', 'b', 'c')", "string", [("'c,a'", "a,c"), ("''", "")]),
    ("binary(4)", "binary", [("x'00FF'", b"\x00\xff\x00\x00")]),
    ("varbinary(40)", "binary", [("x'00FF27'", b"\x00\xff'"), ("''", b"")]),
    ("longblob", "binary", [("repeat(x'FE', 300)", b"\xfe" * 300)]),
    ("varchar(9) character set binary", "binary", [("x'FF'", b"\xff")]),
    ("uuid", "string", [("'123e4567-e89b-12d3-a456-426655440000'",) * 2]),
    ("inet6", "string", [("'2001:db8::ff00:42:8329'",) * 2]),
]  # fmt: skip


def expected(literal: Any, value: Any, arrow: str) -> Any:
    if literal != value:
        return value
    if arrow.startswith("decimal"):
        return Decimal(literal)
    return float(literal) if arrow.startswith("float") else literal.strip("'")


@pytest.mark.parametrize(("kind", "arrow", "values"), TYPES, ids=[kind for kind, _, _ in TYPES])
def test_h66_every_type_arrives_exactly(kind: str, arrow: str, values: list[tuple[str, Any]], maria: Maria) -> None:
    maria.run("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES', time_zone = '+00:00'")
    maria.run(f"CREATE TABLE t (n int PRIMARY KEY, v {kind} NULL DEFAULT NULL)")
    for n, (literal, _) in enumerate(values):
        maria.run(f"INSERT INTO t VALUES ({n}, {literal})")
    maria.run("INSERT INTO t VALUES (-1, NULL)")
    unit = maria.unit("t")
    column = unit.spec.dataset.column("v")
    assert column is not None
    assert column.arrow == arrow
    assert column.fidelity is Fidelity.EXACT
    outcome = unit.run()
    assert outcome.rejects == []
    assert {row["n"]: row["v"] for row in outcome.rows} == {
        -1: None,
        **{n: expected(literal, value, arrow) for n, (literal, value) in enumerate(values)},
    }


ZEROS = [
    ("date", "0000-00-00"),
    ("date", "2024-00-10"),
    ("date", "2024-02-00"),
    ("datetime", "0000-00-00 00:00:00"),
    ("datetime(6)", "2024-00-00 10:11:12.000001"),
    ("timestamp(3)", "0000-00-00 00:00:00.000"),
]


@pytest.mark.parametrize(("kind", "value"), ZEROS)
def test_h66_h70_zero_dates_are_in_quarantine_with_their_raw_value(kind: str, value: str, maria: Maria) -> None:
    maria.run("SET SESSION sql_mode = ''")
    maria.run(f"CREATE TABLE t (n int PRIMARY KEY, v {kind} NULL)")
    maria.run(f"INSERT INTO t VALUES (1, '2024-05-06'), (2, '{value}'), (3, NULL)")
    assert str(maria.run("SELECT CAST(v AS CHAR) FROM t WHERE n = 2")[0][0]) == value
    outcome = maria.unit("t").run()
    assert [row["n"] for row in outcome.rows] == [1, 3]
    (reject,) = outcome.rejects
    assert reject.column == "v"
    assert reject.raw == {"n": "2", "v": value}


@pytest.mark.parametrize("kind", ["date", "datetime", "timestamp"])
def test_h66_zero_dates_as_keys_are_read_once(kind: str, maria: Maria) -> None:
    maria.run("SET SESSION sql_mode = '', time_zone = '+00:00'")
    maria.run(f"CREATE TABLE t (v {kind} NOT NULL DEFAULT 0 PRIMARY KEY, n int)")
    maria.run("INSERT INTO t SELECT '2024-01-01' + INTERVAL seq DAY, seq FROM seq_1_to_40 UNION ALL SELECT 0, 0")
    outcome = maria.unit("t").run()
    assert sorted(row["n"] for row in outcome.rows) == list(range(1, 41))
    assert [reject.raw["n"] for reject in outcome.rejects] == ["0"]
    assert len(outcome.slices) > 3


def test_h66_a_timestamp_is_utc_whatever_zone_the_server_and_the_writer_have(maria: Maria) -> None:
    """Both hours of the autumn night, which have one wall time of the writer."""
    maria.run("CREATE TABLE t (n int PRIMARY KEY, v timestamp NULL, d datetime NULL)")
    maria.run("SET SESSION time_zone = '+02:00'")
    maria.run("INSERT INTO t VALUES (1, '2026-10-25 02:30:00', '2026-10-25 02:30:00')")
    maria.run("SET SESSION time_zone = '+01:00'")
    maria.run("INSERT INTO t VALUES (2, '2026-10-25 02:30:00', '2026-10-25 02:30:00')")
    before = maria.run("SELECT @@global.time_zone")[0][0]
    try:
        maria.run("SET GLOBAL time_zone = '-07:00'")
        rows = maria.unit("t").run().rows
    finally:
        maria.run(f"SET GLOBAL time_zone = '{before}'")
    assert [row["v"] for row in rows] == [
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    ]
    assert [row["d"] for row in rows] == [datetime(2026, 10, 25, 2, 30)] * 2


@pytest.mark.parametrize("kind", ["geometry", "point", "polygon", "multilinestring", "geometrycollection"])
def test_h66_geometry_is_refused_and_only_it(kind: str, maria: Maria) -> None:
    maria.run(f"CREATE TABLE t (n int PRIMARY KEY, g {kind})")
    maria.run("INSERT INTO t VALUES (1, NULL)")
    unit = maria.unit("t")
    column = unit.spec.dataset.column("g")
    assert column is not None
    assert column.fidelity is Fidelity.REFUSED
    assert column.note is not None
    assert "select it as text in a view" in column.note
    assert unit.run().rows == [{"n": 1}]


def test_h67_a_page_of_nulls_has_the_declared_types(maria: Maria) -> None:
    columns = ", ".join(f"c{index} {kind} NULL DEFAULT NULL" for index, (kind, _, _) in enumerate(TYPES))
    maria.run(f"CREATE TABLE t (n int PRIMARY KEY, {columns})")
    maria.run("INSERT INTO t (n) SELECT seq FROM seq_1_to_20")
    rows = maria.unit("t").run().rows
    assert len(rows) == 20
    assert all(value is None for row in rows for name, value in row.items() if name != "n")


def test_h66_json_of_mariadb_is_told_from_text(maria: Maria) -> None:
    maria.run("CREATE TABLE t (n int PRIMARY KEY, j json, `j``2` json, t longtext)")
    dataset = maria.unit("t").spec.dataset
    assert [column.logical for column in dataset.columns] == [None, "json", "json", None]


def test_h71_wide_rows_and_large_cells(maria: Maria) -> None:
    columns = ", ".join(f"c{index} smallint DEFAULT {index}" for index in range(1000))
    maria.run(f"CREATE TABLE t (n int PRIMARY KEY, big longtext, {columns})")
    maria.run(
        "INSERT INTO t (n, big) SELECT seq, CASE WHEN seq = 7 THEN repeat('x', 15000000) ELSE 'y' END FROM seq_1_to_9"
    )
    rows = maria.unit("t", 100).run().rows
    assert len(rows) == 9
    assert [len(row["big"]) for row in rows] == [1] * 6 + [15000000] + [1] * 2
    assert all(row["c999"] == 999 for row in rows)


def test_many_misfits_among_many_rows_are_found_in_every_batch(maria: Maria) -> None:
    maria.run("SET SESSION sql_mode = ''")
    maria.run("CREATE TABLE t (n int PRIMARY KEY, v date)")
    maria.run(
        "INSERT INTO t SELECT seq, CASE WHEN seq % 97 = 0 THEN '0000-00-00' ELSE '2024-01-01' END FROM seq_1_to_20000"
    )
    unit = maria.unit("t", 20_000)
    outcome = unit.run()
    assert len(outcome.rejects) == 20_000 // 97
    assert len(outcome.rows) + len(outcome.rejects) == 20_000


def test_wide_types_beyond_one_packet_and_the_connection_afterwards(maria: Maria) -> None:
    """Rows of 17 MiB and of 100 MiB between small ones, NULLs and texts of no length; then another statement."""
    from ingest_ray.sdk.errors import SourceError
    from ingest_strategies.jdbc.mysql.config import MysqlConfig
    from ingest_strategies.jdbc.mysql.session import MysqlSession

    maria.run("CREATE TABLE t (n int PRIMARY KEY, v longblob, d decimal(65, 30), w text)")
    sizes = [3, 0, 17 * 2**20, None, 2**24, 2**24 - 1, 100 * 2**20, 1]
    maria.run("SET GLOBAL max_allowed_packet = 1073741824")
    try:
        writer = maria.connect(autocommit=True)
        for number, size in enumerate(sizes):
            value = "NULL" if size is None else f"repeat(char({97 + number}), {size})"
            maria.run(f"INSERT INTO t VALUES ({number}, {value}, {number}.{'1' * 30}, '')", writer)
        session = MysqlSession(MysqlConfig(url=maria.url), lambda message, number: SourceError(message))
        rows_read = []
        for batch in session.batches("SELECT * FROM t ORDER BY n", {"page_bytes": "65536"}):
            rows_read += [tuple(row.values()) for row in batch.to_pylist()]
        assert session.rows("SELECT 1") == [(1,)]
        session.close()
    finally:
        maria.run("SET GLOBAL max_allowed_packet = DEFAULT")
    for number, (size, row) in enumerate(zip(sizes, rows_read, strict=True)):
        assert row[0] == b"%d" % number
        assert row[1] == (None if size is None else bytes([97 + number]) * size)
        assert row[2:] == (b"%d.%s" % (number, b"1" * 30), b"")
