"""One statement over a cached session recognises an unchanged unit, and never misses new rows."""

import time
from typing import Any

import pytest

from ingest_ray.sdk.sessions import cached_sessions
from ingest_ray.sdk.types import Dataset
from ingest_ray.testing.dry_run import Rehearsal, Stopped
from ingest_ray.testing.servers.postgres import Postgres, SqliteMaker
from tests.strategies.jdbc.maria import Maria


def is_unchanged(unit: Rehearsal) -> bool:
    return unit.strategy.is_unchanged(unit.spec, unit.states)


def has_no_scopes(unit: Rehearsal) -> bool:
    """The result of a whole probe."""
    with unit.strategy.probe(unit.spec, unit.states) as probe:
        return not unit.strategy.scopes(unit.spec, probe, unit.states)


KINDS = {
    "bigint": "10 + i",
    "numeric(20, 3)": "i + 0.125",
    "double precision": "i + 0.5",
    "text": "chr(96 + i)",
    "uuid": "lpad(i::text, 32, '0')::uuid",
    "date": "date '2024-01-01' + i",
    "timestamp": "timestamp '2024-01-01' + i * interval '7 microseconds'",
    "timestamptz(3)": "timestamptz '2024-01-01' + i * interval '7 milliseconds'",
}


@pytest.mark.parametrize("is_nullable", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_newer_row_is_a_change_for_every_kind_of_cursor(
    kind: str, is_nullable: bool, pg: Postgres, pg_unit: Any
) -> None:
    pg.run(f"CREATE TABLE t (id int PRIMARY KEY, c {kind} {'' if is_nullable else 'NOT NULL UNIQUE'})")
    pg.run(f"INSERT INTO t SELECT i, {KINDS[kind]} FROM generate_series(1, 9) i")
    unit = pg_unit("t", cursor="c")
    assert not is_unchanged(unit), "nothing was loaded yet"
    unit.run()
    assert is_unchanged(unit) == has_no_scopes(unit)
    pg.run(f"INSERT INTO t SELECT i, {KINDS[kind]} FROM generate_series(10, 11) i")
    assert is_unchanged(unit) == has_no_scopes(unit)
    assert kind in ("date", "timestamp", "timestamptz(3)") or not is_unchanged(unit)


@pytest.mark.parametrize(("nulls", "expected"), [("include", False), ("exclude", True), ("raise", False)])
def test_rows_without_a_cursor_count_where_they_are_read_or_refused(
    nulls: str, expected: bool, pg: Postgres, pg_unit: Any
) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, c timestamptz)")
    pg.run("INSERT INTO t SELECT i, '2024-01-01' FROM generate_series(1, 9) i")
    unit = pg_unit("t", cursor="c", cursor_nulls=nulls)
    unit.run()
    assert is_unchanged(unit)
    pg.run("INSERT INTO t VALUES (10, NULL)")
    assert is_unchanged(unit) is expected


def test_a_look_back_that_reaches_rows_is_a_change(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, c timestamptz NOT NULL)")
    pg.run("INSERT INTO t VALUES (1, now() - interval '1 hour')")
    near, far = pg_unit("t", cursor="c", lookback="10m"), pg_unit("t", cursor="c", lookback="2h")
    near.run(), far.run()
    assert is_unchanged(near)
    assert has_no_scopes(near)
    assert not is_unchanged(far)


def test_unfinished_scopes_are_a_change(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, c bigint NOT NULL UNIQUE)")
    pg.run("INSERT INTO t SELECT i, i FROM generate_series(1, 30) i")
    unit = pg_unit("t", cursor="c")
    with pytest.raises(Stopped):
        unit.run(stop_after=1)
    assert not is_unchanged(unit)
    unit.run()
    assert is_unchanged(unit)
    pg.run("INSERT INTO t SELECT i, i FROM generate_series(31, 60) i")
    with pytest.raises(Stopped):
        unit.run(stop_after=1)
    pg.run("DELETE FROM t WHERE c > 20")
    assert not is_unchanged(unit)


def test_a_transaction_that_is_open_while_a_unit_is_unchanged_is_read_by_a_later_run(
    pg: Postgres, pg_unit: Any
) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, c timestamptz NOT NULL DEFAULT now())")
    pg.run("INSERT INTO t VALUES (1)")
    unit = pg_unit("t", cursor="c")
    time.sleep(0.1)
    unit.run()
    writer = pg.connect()
    pg.run("INSERT INTO t VALUES (2)", writer)
    assert is_unchanged(unit)
    writer.commit()
    assert not is_unchanged(unit)
    unit.run()
    assert {row["id"] for row in unit.sink.values()} == {1, 2}


def sessions(pg: Postgres) -> set[int]:
    rows = pg.run(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'ingest_ray'"
    )
    return {int(row[0]) for row in rows}


@pytest.fixture
def pair(pg: Postgres, pg_unit: Any) -> list[Rehearsal]:
    for name in ("one", "two"):
        pg.run(f"CREATE TABLE {name} (id int PRIMARY KEY, c timestamptz NOT NULL DEFAULT now())")
        pg.run(f"INSERT INTO {name} VALUES (1)")
    time.sleep(0.1)
    made = [pg_unit(name, cursor="c") for name in ("one", "two")]
    for unit in made:
        unit.run()
    return made


def describe(unit: Rehearsal) -> Dataset | None:
    return unit.strategy.describe(unit.spec.endpoint, unit.spec.dataset)


def test_one_session_serves_all_units_and_ends_with_the_launch(pair: list[Rehearsal], pg: Postgres) -> None:
    with cached_sessions():
        seen = []
        for unit in pair:
            assert describe(unit) == unit.spec.dataset
            assert is_unchanged(unit)
            seen.append(sessions(pg))
        assert len(seen[0]) == 1
        assert seen[0] == seen[1]
    deadline = time.monotonic() + 60
    while sessions(pg) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not sessions(pg)


def test_a_session_that_is_lost_between_units_is_opened_again(pair: list[Rehearsal], pg: Postgres) -> None:
    with cached_sessions():
        assert is_unchanged(pair[0])
        (first,) = sessions(pg)
        pg.run(f"SELECT pg_terminate_backend({first}, 5000)")
        assert describe(pair[1]) == pair[1].spec.dataset
        (second,) = sessions(pg)
        assert second != first
        pg.run(f"SELECT pg_terminate_backend({second}, 5000)")
        pg.run("INSERT INTO two VALUES (2)")
        assert not is_unchanged(pair[1])


def test_a_change_of_the_second_table_is_seen_over_the_cached_session(pair: list[Rehearsal], pg: Postgres) -> None:
    one, two = pair
    with cached_sessions():
        for unit in pair:
            assert describe(unit) == unit.spec.dataset
        pg.run("ALTER TABLE two ADD COLUMN more numeric(9, 2)[]")
        pg.run("CREATE UNIQUE INDEX ON two (c, id)")
        now = describe(two)
        assert now is not None
        assert [column.name for column in now.columns] == ["id", "c", "more"]
        assert now == next(
            dataset for dataset in two.strategy.collect(two.spec.endpoint) if dataset.name == "public.two"
        )
        pg.run("DROP TABLE two")
        assert describe(two) is None
        assert describe(one) == one.spec.dataset


def test_the_cached_session_is_closed_before_a_probe_opens_its_own(pair: list[Rehearsal], pg: Postgres) -> None:
    """So that an endpoint's connections stay within a policy's cap."""
    with cached_sessions():
        assert is_unchanged(pair[0])
        with pair[0].strategy.probe(pair[0].spec, pair[0].states):
            assert len(sessions(pg)) == 1


def test_every_type_is_described_alone_as_among_all(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TYPE mood AS ENUM ('low', 'high')")
    pg.run("CREATE DOMAIN price AS numeric(12, 2) CHECK (VALUE >= 0)")
    pg.run("CREATE DOMAIN prices AS price[]")
    pg.run("CREATE TYPE pair AS (a int, b price)")
    pg.run('CREATE TABLE "o\'ne ""q" (id int PRIMARY KEY, m mood[], p price NOT NULL, q prices, r int4range, s pair)')
    pg.run('COMMENT ON COLUMN "o\'ne ""q".m IS \'how it "feels"\'')
    pg.run('CREATE INDEX ON "o\'ne ""q" (p, id)')
    pg.run('CREATE VIEW v AS SELECT m, p FROM "o\'ne ""q"')
    for unit in (pg_unit("o'ne \"q"), pg_unit("v")):
        assert describe(unit) == unit.spec.dataset


@pytest.mark.services
def test_mariadb_is_unchanged_alike_over_a_cached_session(maria: Maria) -> None:
    maria.run("CREATE TABLE t (id bigint PRIMARY KEY, c bigint NOT NULL UNIQUE)")
    maria.run("INSERT INTO t VALUES (1, 1)")
    unit = maria.unit("t", cursor="c")
    unit.run()
    with cached_sessions():
        assert is_unchanged(unit)
        assert has_no_scopes(unit)
        assert is_unchanged(unit)
        maria.run("INSERT INTO t VALUES (2, 2)")
        assert not is_unchanged(unit), "a cached session must not see an old snapshot"
        ours = maria.run(
            "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
        )
        for row in ours:
            maria.run(f"KILL {row[0]}")
        assert not is_unchanged(unit)


@pytest.mark.parametrize("kind", ["integer", "text", "real"])
def test_sqlite_is_unchanged_alike(kind: str, sqlite_file: SqliteMaker, lite_unit: Any) -> None:
    path = sqlite_file(
        f"CREATE TABLE t (id integer PRIMARY KEY, c {kind} NOT NULL UNIQUE)", "INSERT INTO t VALUES (1, 1)"
    )
    unit = lite_unit(path, "t", cursor="c")
    unit.run()
    with cached_sessions():
        assert is_unchanged(unit) == has_no_scopes(unit)
        sqlite_file("INSERT INTO t VALUES (2, 2)")
        assert not is_unchanged(unit)
