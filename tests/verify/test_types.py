"""Types, collations, composite keys and NULLs make no differences where there are none, and losses of such rows are repaired."""

from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.types import Endpoint, RunMode
from ingest_ray.testing.servers.mariadb import MariaDatabase
from ingest_ray.testing.servers.postgres import Postgres
from tests.verify.table_world import TableWorld, counts, maria_world, postgres_world, sqlite_world

pytestmark = pytest.mark.slow

POSTGRES = """
CREATE TABLE t (
    id bigint PRIMARY KEY, small smallint, flag boolean, exact numeric(20, 6), free numeric, huge numeric(60, 3),
    single real, wide double precision, day date, clock time, stamp timestamp, instant timestamptz, span interval, name text,
    fixed char(5), label varchar(9) COLLATE "C", code uuid, raw bytea, doc json, docb jsonb, numbers int[], words text[]
)"""
VALUES = (
    "(1, -1, true, 1.500000, 1.50, 10, 0.1, 0.1, '2024-02-29', '12:30:00.000001', '2024-01-01 00:00:00.000001',"
    " '2024-10-27 00:30:00+00', '1 day', 'a', 'ab', 'B', '00010203-0405-0607-0809-0a0b0c0d0e0f', '\\x00ff', '{\"a\": 1.0}',"
    " '{\"a\": 1.0}', '{1,NULL}', '{a,\"\"}')",
    "(2, 0, false, -0.000001, 'NaN', -0.001, '-0', '-0', '0001-01-01', '00:00', '0001-01-01', '9999-12-31 23:59:59.999999+00',"
    " '-3 months', '', '', '', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '', 'null', '[]', '{}', '{}')",
    "(3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,"
    " NULL, NULL)",
    "(4, 3, true, 3, 3, 3, 'NaN', 'Infinity', '1969-12-31', '23:59:59.999999', '1969-12-31', '1969-12-31+00', '1 hour',"
    " 'Straße', 'x', 'z', '00010203-0405-0607-0809-0a0b0c0d0e0f', '\\x01', '1', '1', '{1}', '{NULL}')",
)
SINKS = ["delta", "iceberg", "postgres", "sqlite", "duckdb", "mariadb"]


def sink_of(name: str, folder: Path, request: pytest.FixtureRequest) -> Endpoint | None:
    configs: dict[str, Any] = {
        "postgres": lambda: {"url": request.getfixturevalue("pg").url, "schema": "public"},
        "mariadb": lambda: {"url": request.getfixturevalue("mariadb").url},
        "sqlite": lambda: {"url": f"sqlite:///{folder}/sink.db"},
    }
    if name == "delta":
        return None
    if name == "iceberg":
        return Endpoint(endpoint_id="lake", template="lake.iceberg", config={"warehouse": str(folder / "lake")})
    if name == "duckdb":
        return Endpoint(endpoint_id="lake", template="duckdb", config={"path": str(folder / "sink.duckdb")})
    return Endpoint(endpoint_id="lake", template="sql", config=configs[name]())


@pytest.mark.parametrize("sink", SINKS)
def test_every_type_of_postgres_is_equal_in_every_sink(
    sink: str, tmp_path: Path, pg: Postgres, request: pytest.FixtureRequest
) -> None:
    pg.run(POSTGRES)
    values = [one for one in VALUES if sink in ("delta", "iceberg", "postgres", "duckdb") or "NaN" not in one]
    pg.run(f"INSERT INTO t VALUES {', '.join(values)}")
    world = postgres_world(tmp_path, pg, mode=RunMode.FULL, policy={}, sink=sink_of(sink, tmp_path, request))
    world.run()
    report = world.verify(with_values=True)
    assert counts(report) == (0, 0, 0, 0), report
    assert report.rows_in_sink == len(values)
    pg.run("UPDATE t SET name = 'other' WHERE id = 1")
    assert counts(world.verify(with_values=True)) == (0, 0, 1, 0)
    assert world.verify(with_values=True, repair=True).remaining == 0
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)
    assert report.not_compared == ()
    pg.run('UPDATE t SET docb = \'{"a": 1, "b": [true, null]}\' WHERE id = 1')
    pg.run("UPDATE t SET numbers = '{2}' WHERE id = 3")
    assert counts(world.verify(with_values=True)) == (0, 0, 2, 0)
    assert world.verify(with_values=True, repair=True).remaining == 0


ARRAYS = {
    "numeric(9,2)[]": ("'{1.50,NULL,-2}'", "'{1.51,NULL,-2}'"),
    "numeric[]": ("'{1.50,1e30}'", "'{1.5,1e30,0}'"),
    "boolean[]": ("'{t,NULL,f}'", "'{t,NULL,t}'"),
    "real[]": ("'{0.1,NULL,Infinity}'", "'{0.2,NULL,Infinity}'"),
    "double precision[]": ("'{0.1,1e300}'", "'{0.1,1e301}'"),
    "bigint[]": ("'{9223372036854775807}'", "'{9223372036854775806}'"),
    "text[]": ("'{a,\"b,c\",NULL}'", "'{a,\"b,d\",NULL}'"),
    "date[]": ("'{2024-02-29}'", "'{2024-02-28}'"),
    "timestamp[]": ("'{2024-01-01 00:00:00.000001}'", "'{2024-01-01 00:00:00.000002}'"),
    "timestamptz[]": ("'{2024-10-27 00:30:00+00,NULL}'", "'{2024-10-27 00:30:01+00,NULL}'"),
}


@pytest.mark.parametrize("sink", ["postgres", "duckdb", "sqlite", "mariadb"])
def test_arrays_are_compared_in_every_sink(
    sink: str, tmp_path: Path, pg: Postgres, request: pytest.FixtureRequest
) -> None:
    declared = ", ".join(f"c{number} {kind}" for number, kind in enumerate(ARRAYS))
    pg.run(f"CREATE TABLE t (id bigint PRIMARY KEY, {declared})")
    pg.run(f"INSERT INTO t VALUES (1, {', '.join(value for value, _ in ARRAYS.values())})")
    pg.run("INSERT INTO t (id) VALUES (2)")
    world = postgres_world(tmp_path, pg, mode=RunMode.FULL, policy={}, sink=sink_of(sink, tmp_path, request))
    world.run()
    report = world.verify(with_values=True)
    assert (counts(report), report.not_compared) == ((0, 0, 0, 0), ())
    for number, (kind, (value, other)) in enumerate(ARRAYS.items()):
        pg.run(f"UPDATE t SET c{number} = {other} WHERE id = 1")
        assert counts(world.verify(with_values=True)) == (0, 0, 1, 0), kind
        pg.run(f"UPDATE t SET c{number} = {value} WHERE id = 1")
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)


KEYS = {
    "text": ("varchar(40)", ["'a'", "'A'", "'é'", "''", "' b'", "'it''s'"]),
    "numeric": ("numeric(20, 4)", ["1.5", "-0.0001", "9999999999999999.9999", "0"]),
    "uuid": ("uuid", ["'00010203-0405-0607-0809-0a0b0c0d0e0f'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"]),
    "timestamptz": ("timestamptz", ["'2024-01-01 00:00:00.000001+00'", "'1970-01-01+00'"]),
    "date": ("date", ["'2024-02-29'", "'1969-12-31'"]),
    "bytea": ("bytea", ["'\\x00ff'", "''"]),
    "smallint": ("smallint", ["-3", "0", "32767"]),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_any_type_are_found_again_in_postgres(kind: str, tmp_path: Path, pg: Postgres) -> None:
    declared, values = KEYS[kind]
    pg.run(f"CREATE TABLE t (id {declared} PRIMARY KEY, at bigint NOT NULL, note text)")
    pg.run(
        f"INSERT INTO t VALUES {', '.join(f'({value}, {n}, NULL)' for n, value in enumerate(values))}, {_newest(kind)}"
    )
    check_loss(postgres_world(tmp_path, pg), len(values))


def _newest(kind: str) -> str:
    newest = {"text": "'zz'", "numeric": "77", "uuid": "'00000000-0000-0000-0000-000000000001'", "smallint": "99"}
    others = {"timestamptz": "'2030-01-01+00'", "date": "'2030-01-01'", "bytea": "'\\x77'"}
    return f"({(newest | others)[kind]}, 1000, NULL)"


MARIA_KEYS = {
    "text": ("varchar(40) COLLATE utf8mb4_nopad_bin", ["'a'", "'A'", "'é'", "''", "'it''s'", "'back\\\\slash'"]),
    "decimal": ("decimal(20, 4)", ["1.5", "-0.0001", "9999999999999999.9999"]),
    "datetime": ("datetime(6)", ["'2024-01-01 00:00:00.000001'", "'1970-01-01'"]),
    "date": ("date", ["'2024-02-29'", "'1969-12-31'"]),
    "varbinary": ("varbinary(20)", ["x'00ff'", "x'01'"]),
    "unsigned": ("bigint unsigned", ["18446744073709551615", "0", "5"]),
    "enum": ("enum('red', 'green', 'blue')", ["'red'", "'blue'"]),
}


@pytest.mark.parametrize("kind", MARIA_KEYS)
def test_keys_of_any_type_are_found_again_in_mariadb(kind: str, tmp_path: Path, mariadb: MariaDatabase) -> None:
    declared, values = MARIA_KEYS[kind]
    mariadb.run(f"CREATE TABLE t (id {declared} PRIMARY KEY, at bigint NOT NULL, note text)")
    more = {"text": "'zz'", "decimal": "77", "datetime": "'2030-01-01'", "date": "'2030-01-01'", "enum": "'green'"}
    newest = (more | {"varbinary": "x'77'", "unsigned": "77"})[kind]
    rows = ", ".join(f"({value}, {n}, NULL)" for n, value in enumerate(values))
    mariadb.run(f"INSERT INTO t VALUES {rows}, ({newest}, 1000, NULL)")
    check_loss(maria_world(tmp_path, mariadb), len(values))


@pytest.mark.parametrize("declared", ["integer", "text", "decimal(20, 4)", "real"])
def test_keys_of_any_type_are_found_again_in_sqlite(declared: str, tmp_path: Path) -> None:
    values = ["'a'", "'A'", "''"] if declared == "text" else ["1", "2", "-5"]
    world = sqlite_world(
        tmp_path, f"CREATE TABLE t (id {declared} NOT NULL PRIMARY KEY, at integer NOT NULL, note text)"
    )
    rows = ", ".join(f"({value}, {n}, NULL)" for n, value in enumerate(values))
    world.execute(f"INSERT INTO t VALUES {rows}, ({repr('zz') if declared == 'text' else 77}, 1000, NULL)")
    check_loss(world, len(values))


def check_loss(world: TableWorld, expected: int) -> None:
    """Loses all rows but the newest, which lies at the watermark."""
    world.run()
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)
    world.lake.delete("at < 1000")
    assert counts(world.verify()) == (expected, 0, 0, 0)
    repaired = world.verify(repair=True)
    assert (repaired.repaired, repaired.remaining) == (expected, 0)
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)


def test_composite_keys_with_nulls(tmp_path: Path, pg: Postgres) -> None:
    pg.run("CREATE TABLE t (a int, b text, at bigint NOT NULL, note text, UNIQUE NULLS NOT DISTINCT (a, b))")
    pg.run("INSERT INTO t SELECT nullif(i % 5, 0), nullif(chr(97 + i / 5), 'c'), i, 'x' FROM generate_series(1, 24) i")
    pg.run("INSERT INTO t VALUES (99, 'newest', 1000, NULL)")
    world = postgres_world(tmp_path, pg, policy={"cursor": "at", "primary_key": ("a", "b")})
    check_loss(world, 24)


def test_keys_that_differ_only_in_case_are_two_keys_under_a_collation_that_ignores_it(
    tmp_path: Path, mariadb: MariaDatabase
) -> None:
    mariadb.run("CREATE TABLE t (id varchar(9) COLLATE utf8mb4_general_ci PRIMARY KEY, at bigint NOT NULL)")
    mariadb.run("INSERT INTO t VALUES ('a', 1), ('b', 2), ('z', 1000)")
    policy = {"cursor": "at", "primary_key": ("id",), "allow_lossy": True}
    world = maria_world(tmp_path, mariadb, policy=policy)
    world.run()
    mariadb.run("UPDATE t SET id = 'A' WHERE id = 'a'")
    assert counts(world.verify()) == (1, 1, 0, 0)
    world.verify(repair=True, allow_deletes=True)
    assert counts(world.verify()) == (0, 0, 0, 0)


def test_rows_that_the_sink_cannot_hold_are_in_quarantine_and_not_missing(tmp_path: Path, pg: Postgres) -> None:
    pg.run("CREATE TABLE t (id bigint PRIMARY KEY, at bigint NOT NULL, value double precision)")
    pg.run("INSERT INTO t VALUES (1, 1, 1.5), (2, 2, 'NaN'), (3, 3, 2.5), (9, 9, 0)")
    sink = Endpoint(endpoint_id="lake", template="sql", config={"url": f"sqlite:///{tmp_path}/sink.db"})
    world = postgres_world(tmp_path, pg, sink=sink)
    assert world.run().rows.quarantined == 1
    for with_values in (False, True):
        report = world.verify(with_values=with_values)
        assert (counts(report), report.newer) == ((0, 0, 0, 0), 1)


def test_columns_that_have_another_name_in_the_sink_are_compared(tmp_path: Path, mariadb: MariaDatabase) -> None:
    world = sqlite_world(tmp_path, f'CREATE TABLE t ("{"id" * 40}" integer NOT NULL PRIMARY KEY, "{"a" * 80}" text)')
    world.mode, world.policy = RunMode.FULL, {}
    world.sink = Endpoint(endpoint_id="lake", template="sql", config={"url": mariadb.url})
    world.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    world.run()
    assert counts(world.verify()) == (0, 0, 0, 0)
    world.execute("UPDATE t SET " + "a" * 80 + " = 'c' WHERE " + "id" * 40 + " = 2")
    assert counts(world.verify(with_values=True)) == (0, 0, 1, 0)
