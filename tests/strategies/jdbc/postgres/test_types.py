"""Section H of the conformance list for PostgreSQL: types are exact or declared; values that do not fit are in quarantine."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.core import planning
from ingest_ray.sdk.types import Fidelity
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.servers.postgres import Postgres

UTC = dt.UTC
# column type, SQL value, Arrow type, logical, fidelity, value in Python
VALUES: list[tuple[str, str, str, str | None, str, Any]] = [
    ("smallint", "-32768", "int16", None, "exact", -32768),
    ("integer", "2147483647", "int32", None, "exact", 2147483647),
    ("bigint", "-9223372036854775808", "int64", None, "exact", -(2**63)),
    ("oid", "4294967295", "int64", None, "exact", 4294967295),
    ("real", "'1.17549435e-38'", "float32", None, "exact", 1.1754943508222875e-38),
    ("double precision", "0.1", "float64", None, "exact", 0.1),
    ("double precision", "'-Infinity'", "float64", None, "exact", float("-inf")),
    ("numeric(12,2)", "1234567890.12", "decimal128(12, 2)", None, "exact", Decimal("1234567890.12")),
    ("numeric(38,9)", "'12345678901234567890123456789.123456789'", "decimal128(38, 9)", None, "exact", Decimal("12345678901234567890123456789.123456789")),
    ("numeric(60,10)", "'1" + "2" * 49 + ".0123456789'", "decimal256(60, 10)", None, "exact", Decimal("1" + "2" * 49 + ".0123456789")),
    ("numeric(5,-2)", "1234567", "decimal128(7, 0)", None, "exact", Decimal("1234600")),
    ("numeric(3,5)", "0.00123", "decimal128(5, 5)", None, "exact", Decimal("0.00123")),
    ("numeric", "'1" + "0" * 60 + "." + "0" * 30 + "1'", "string", "decimal", "exact", "1" + "0" * 60 + "." + "0" * 30 + "1"),
    ("numeric", "'NaN'", "string", "decimal", "exact", "NaN"),
    ("numeric(100,10)", "'12.5'", "string", "decimal", "exact", "12.5000000000"),
    ("money", "'-1234.56'", "string", "decimal", "widened", "-1234.56"),
    ("boolean", "true", "bool", None, "exact", True),
    ("text", "'Ünï \U0001f600'", "string", None, "exact", "Ünï \U0001f600"),
    ("character(5)", "'ab'", "string", None, "exact", "ab   "),
    ("character varying(9)", "'ab '", "string", None, "exact", "ab "),
    ("bytea", r"'\x00ff10'", "binary", None, "exact", b"\x00\xff\x10"),
    ("date", "'0044-03-15'", "date32", None, "exact", dt.date(44, 3, 15)),
    ("time", "'23:59:59.999999'", "time64[us]", None, "exact", dt.time(23, 59, 59, 999999)),
    ("time with time zone", "'24:00:00+05:30'", "string", "timetz", "exact", "24:00:00+05:30"),
    ("timestamp", "'2026-03-29 02:30:00.000001'", "timestamp[us]", None, "exact", dt.datetime(2026, 3, 29, 2, 30, 0, 1)),
    ("timestamptz", "'2026-03-29 02:30:00.000001+02'", "timestamp[us, UTC]", None, "exact", dt.datetime(2026, 3, 29, 0, 30, 0, 1, UTC)),
    ("interval", "'-1 year 2 mons 3 days -04:05:06.000007'", "string", "interval", "exact", "P-10M3DT-4H-5M-6.000007S"),
    ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "string", "uuid", "exact", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("json", """'{"a": 12345678901234567890123,  "a": 2}'""", "string", "json", "exact", '{"a": 12345678901234567890123,  "a": 2}'),
    ("jsonb", """'{"b": 1, "a": 12345678901234567890.123}'""", "string", "json", "exact", '{"a": 12345678901234567890.123, "b": 1}'),
    ("inet", "'10.0.0.1'", "string", "inet", "exact", "10.0.0.1"),
    ("inet", "'10.0.0.1/24'", "string", "inet", "exact", "10.0.0.1/24"),
    ("inet", "'::1'", "string", "inet", "exact", "::1"),
    ("inet[]", "'{10.0.0.1,NULL,10.0.0.0/8}'", "list<string>", "inet", "exact", ["10.0.0.1", None, "10.0.0.0/8"]),
    ("cidr", "'10.0.0.0/8'", "string", "cidr", "exact", "10.0.0.0/8"),
    ("macaddr", "'08:00:2b:01:02:03'", "string", "macaddr", "exact", "08:00:2b:01:02:03"),
    ("bit(5)", "B'10110'", "string", "bits", "exact", "10110"),
    ("bit varying", "B'1'", "string", "bits", "exact", "1"),
    ("mood", "'very ok'", "string", "enum", "exact", "very ok"),
    ("email", "'A@b'", "string", None, "exact", "A@b"),
    ("amount", "12.345", "decimal128(10, 3)", None, "exact", Decimal("12.345")),
    ("pair", "ROW(1, 'x y')", "string", "composite", "widened", '(1,"x y")'),
    ("int4range", "'[1,5)'", "string", "range", "widened", "[1,5)"),
    ("tsvector", "'a b'", "string", "tsvector", "widened", "'a' 'b'"),
    ("integer[]", "'{1,NULL,3}'", "list<int32>", None, "exact", [1, None, 3]),
    ("text[]", """'{"a b",NULL,"NULL",""}'""", "list<string>", None, "exact", ["a b", None, "NULL", ""]),
    ("numeric(9,2)[]", "'{1.5,NULL}'", "list<decimal128(9, 2)>", None, "exact", [Decimal("1.50"), None]),
    ("uuid[]", "'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'", "list<string>", "uuid", "exact", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    ("timestamptz[]", "'{2026-01-01 00:00+00}'", "list<timestamp[us, UTC]>", None, "exact", [dt.datetime(2026, 1, 1, tzinfo=UTC)]),
    ("bytea[]", r"""'{"\\x01",NULL}'""", "list<binary>", None, "exact", [b"\x01", None]),
    ("boolean[]", "'{}'", "list<bool>", None, "exact", []),
    ("mood[]", "'{sad,NULL}'", "list<string>", "enum", "exact", ["sad", None]),
    ("jsonb[]", """ARRAY['{"a":1}'::jsonb]""", "list<string>", "json", "exact", ['{"a": 1}']),
    ("interval[]", "'{1 mon}'", "list<string>", "interval", "exact", ["P1M"]),
    ("integer[][]", "'{{1,2},{3,4}}'", "string", "array", "widened", "{{1,2},{3,4}}"),
]  # fmt: skip
SETUP = [
    "CREATE TYPE mood AS ENUM ('sad', 'very ok')",
    "CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%')",
    "CREATE DOMAIN plain_amount AS numeric(10,3)",
    "CREATE DOMAIN amount AS plain_amount NOT NULL",
    "CREATE TYPE pair AS (a integer, b text)",
]


def test_h66_every_type_arrives_exactly_or_as_declared(pg: Postgres, pg_unit: Any) -> None:
    for statement in SETUP:
        pg.run(statement)
    columns = ", ".join(f"c{i} {value[0]}" for i, value in enumerate(VALUES))
    pg.run(f"CREATE TABLE t (id integer PRIMARY KEY, {columns})")
    pg.run(f"INSERT INTO t VALUES (1, {', '.join(value[1] for value in VALUES)})")
    nulls = ", ".join("12.345" if value[0] == "amount" else "NULL" for value in VALUES)
    pg.run(f"INSERT INTO t VALUES (2, {nulls})")
    rehearsal = pg_unit("t")
    rows = sorted(rehearsal.run().rows, key=lambda row: row["id"])
    assert rehearsal.outcome.rejects == []
    for i, (kind, _, arrow, logical, fidelity, value) in enumerate(VALUES):
        column = rehearsal.spec.dataset.column(f"c{i}")
        assert column is not None
        assert (column.arrow, column.logical, column.fidelity.value) == (arrow, logical, fidelity), kind
        assert rows[0][f"c{i}"] == value, kind
        assert rows[1][f"c{i}"] is None or kind == "amount", kind


QUARANTINED: list[tuple[str, str, Any]] = [
    ("numeric(10,2)", "'NaN'", "nan"),
    ("numeric(50,2)", "'NaN'", "nan"),
    ("timestamptz", "'infinity'", "infinity"),
    ("timestamptz", "'-infinity'", "-infinity"),
    ("timestamp", "'infinity'", "infinity"),
    ("timestamp", "'294276-12-31 23:59:59.999999'", "9223371331199999999 microseconds since 2000-01-01"),
    ("date", "'infinity'", "infinity"),
    ("date", "'-infinity'", "-infinity"),
    ("time", "'24:00'", "24:00:00"),
    ("timestamptz[]", "'{2026-01-01 00:00+00,infinity}'", ["2026-01-01T00:00:00+00:00", "infinity"]),
    ("numeric(5,1)[]", "'{1.5,NaN}'", ["1.5", "NaN"]),
    ("integer[]", "'{{1,2},{3,4}}'", "{{1,2},{3,4}}"),
    ("integer[]", "'[0:1]={1,2}'", "[0:1]={1,2}"),
]


@pytest.mark.parametrize(("kind", "sql", "raw"), QUARANTINED)
def test_h66_h70_what_arrow_cannot_hold_is_in_quarantine_with_its_raw_value(
    kind: str, sql: str, raw: Any, pg: Postgres, pg_unit: Any
) -> None:
    pg.run(f"CREATE TABLE t (id integer PRIMARY KEY, c {kind}, other text)")
    pg.run(
        f"INSERT INTO t SELECT i, CASE WHEN i IN (3, 17) THEN {sql}::{kind} END, 'o' || i FROM generate_series(1, 20) i"
    )
    rehearsal = pg_unit("t", rows_per_slice=1000)
    outcome = rehearsal.run()
    assert sorted(row["id"] for row in outcome.rows) == [i for i in range(1, 21) if i not in (3, 17)]
    assert [(reject.raw, reject.column) for reject in outcome.rejects] == [
        ({"id": i, "c": raw, "other": f"o{i}"}, "c") for i in (3, 17)
    ]


@pytest.mark.parametrize("value", ["294246-12-31", "10000-01-01 00:00:00.000001", "0001-01-01 BC", "4713-01-01 BC"])
@pytest.mark.parametrize("kind", ["timestamp", "date"])
def test_h66_years_that_arrow_can_hold_arrive(kind: str, value: str, pg: Postgres, pg_unit: Any) -> None:
    """Python's own times end at 9999: the numbers are compared."""
    pg.run(f"CREATE TABLE t (id integer PRIMARY KEY, c {kind})")
    pg.run(f"INSERT INTO t VALUES (1, '{value}')")
    scale = "* 1000000" if kind == "timestamp" else "/ 86400"
    number = int(pg.run(f"SELECT extract(epoch FROM c) {scale} FROM t")[0][0])
    rehearsal = pg_unit("t")
    with rehearsal.strategy.probe(rehearsal.spec, {}) as probe:
        scopes = rehearsal.strategy.scopes(rehearsal.spec, probe, {})
        piece = next(planning.slices(rehearsal.strategy, rehearsal.spec, probe, scopes))
        batches = list(rehearsal.read(piece))
    width = pa.int64() if kind == "timestamp" else pa.int32()
    assert batches[0].column(1).view(width).to_pylist() == [number]


def test_h66_geometry_and_unknown_types_are_refused_and_only_they(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id integer PRIMARY KEY, p point, b box[], v text, a aclitem)")
    pg.run("INSERT INTO t VALUES (1, '(1,2)', NULL, 'x', NULL)")
    rehearsal = pg_unit("t")
    assert rehearsal.run().rows == [{"id": 1, "v": "x"}]
    refused = {c.name: c.note for c in rehearsal.spec.dataset.columns if c.fidelity is Fidelity.REFUSED}
    assert set(refused) == {"p", "b", "a"}
    assert all(note and "view" in note for note in refused.values())


def test_h67_a_page_of_nulls_has_the_declared_types(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id integer PRIMARY KEY, a numeric(9,2), b timestamptz, c integer[], d uuid[], e bytea)")
    pg.run("INSERT INTO t (id) SELECT i FROM generate_series(1, 30) i")
    rehearsal = pg_unit("t")
    outcome = rehearsal.run()  # the rehearsal compares every batch's schema
    assert len(outcome.rows) == 30
    assert str(rehearsal.schema.field("c").type) == "list<item: int32>"


def test_h71_wide_rows_and_large_cells(pg: Postgres, pg_unit: Any) -> None:
    columns = ", ".join(f"c{i} integer DEFAULT {i}" for i in range(1000))
    pg.run(f"CREATE TABLE wide (id integer PRIMARY KEY, {columns})")
    pg.run("INSERT INTO wide (id) SELECT i FROM generate_series(1, 20) i")
    assert pg_unit("wide").run().rows[7]["c999"] == 999
    pg.run("CREATE TABLE large (id integer PRIMARY KEY, b bytea)")
    pg.run("INSERT INTO large SELECT i, convert_to(repeat('x', 20000000), 'UTF8') FROM generate_series(1, 2) i")
    rehearsal = pg_unit("large", rows_per_slice=1000)
    assert [len(row["b"]) for row in rehearsal.run().rows] == [20_000_000, 20_000_000]


def test_nine_hundred_arrays_are_read_and_odd_ones_are_in_quarantine(pg: Postgres, pg_unit: Any) -> None:
    """A guard for each would be more expressions than a SELECT may have, after the table was planned."""
    pg.run(f"CREATE TABLE t (id integer PRIMARY KEY, {', '.join(f'c{i} integer[]' for i in range(900))})")
    pg.run("INSERT INTO t (id, c0, c899) VALUES (1, '{1}', '{2}'), (2, '{{1},{2}}', '{3}'), (3, '{4}', '[2:2]={5}')")
    rehearsal = pg_unit("t")
    assert [(row["c0"], row["c1"], row["c899"]) for row in rehearsal.run().rows] == [([1], None, [2])]
    found = [(reject.raw["id"], reject.column, reject.raw[str(reject.column)]) for reject in rehearsal.outcome.rejects]
    assert found == [(2, "c0", "{{1},{2}}"), (3, "c899", "[2:2]={5}")]


def test_many_misfits_among_many_rows_are_found_in_every_batch(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id integer PRIMARY KEY, n numeric(10,2), ts timestamp)")
    pg.run(
        "INSERT INTO t SELECT i, CASE WHEN i % 97 = 0 THEN 'NaN' ELSE i / 7.0 END,"
        " CASE WHEN i % 89 = 0 THEN 'infinity' ELSE timestamp '2026-01-01' + i * interval '1 s' END"
        " FROM generate_series(1, 20000) i"
    )
    rehearsal: Rehearsal = pg_unit("t", rows_per_slice=7000)
    rehearsal.page_bytes = 64 * 1024
    outcome = rehearsal.run()
    bad = [i for i in range(1, 20001) if i % 97 == 0 or i % 89 == 0]
    assert sorted(int(str(reject.raw["id"])) for reject in outcome.rejects) == bad
    assert len(outcome.rows) + len(bad) == 20000
    assert all(row["n"] == round(Decimal(row["id"]) / 7, 2) for row in outcome.rows[::500])
