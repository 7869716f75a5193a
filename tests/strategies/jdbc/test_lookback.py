"""The look-back that units have by default: late rows are read, a table at rest is not, and a clock that was set back is noticed."""

import time
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.servers.postgres import Postgres, SqliteMaker
from ingest_strategies.jdbc.planning import lookback
from tests.strategies.jdbc.maria import Maria

TIMED = "CREATE TABLE t (id int PRIMARY KEY, ts timestamptz NOT NULL DEFAULT clock_timestamp())"


def ids(unit: Rehearsal) -> set[int]:
    return {row["id"] for row in unit.sink.values()}


def run_until_it_rests(unit: Rehearsal) -> None:
    """Runs until a whole probe finds nothing to read."""
    deadline = time.monotonic() + 60
    while unit.run().slices:
        assert time.monotonic() < deadline, f"read for ever: {[scope.target for scope in unit.outcome.scopes]}"
        time.sleep(0.2)
    assert unit.strategy.is_unchanged(unit.spec, unit.states)


@pytest.mark.services
@pytest.mark.parametrize("kind", ["timestamp(6)", "datetime(6)"])
def test_a_time_taken_before_the_first_statement_of_innodb_is_found(kind: str, maria: Maria) -> None:
    """The server shows a transaction from its first statement of InnoDB on."""
    maria.run(f"CREATE TABLE t (id int PRIMARY KEY, ts {kind} NOT NULL DEFAULT now(6))")
    maria.run("INSERT INTO t (id) VALUES (1)")
    unit, without = maria.unit("t", cursor="ts"), maria.unit("t", cursor="ts", lookback=0)
    late = maria.connect()
    maria.run("SET @n = NOW(6)", late)
    time.sleep(1.1)
    maria.run("INSERT INTO t (id) VALUES (3)")
    time.sleep(1.1)
    unit.run(), without.run()
    maria.run("INSERT INTO t (id, ts) VALUES (2, @n)", late)
    late.commit()
    for run in (unit, without):
        assert not run.strategy.is_unchanged(run.spec, run.states) or run is without
        run.run()
    assert ids(unit) == {1, 2, 3}
    assert ids(without) == {1, 3}, "the look-back is what finds it"


def test_an_early_time_of_a_transaction_that_stays_open_is_found(pg: Postgres, pg_unit: Any) -> None:
    """However long the transaction is open: the window waits for it."""
    pg.run(TIMED)
    pg.run("INSERT INTO t VALUES (1)")
    unit = pg_unit("t", cursor="ts", lookback="2s")
    unit.run()
    early = pg.run("SELECT clock_timestamp()::text")[0][0]
    late = pg.connect()
    pg.run(f"INSERT INTO t VALUES (2, '{early}')", late)
    for number in (3, 4, 5):
        time.sleep(1)
        pg.run(f"INSERT INTO t VALUES ({number})")
        unit.run()
    late.commit()
    unit.run()
    assert ids(unit) == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp"])
def test_a_table_at_rest_is_not_read_for_ever(kind: str, pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.replace("timestamptz", kind))
    pg.run("INSERT INTO t VALUES (1), (2)")
    unit = pg_unit("t", cursor="ts", lookback="1s")
    run_until_it_rests(unit)
    pg.run("INSERT INTO t VALUES (3)")
    run_until_it_rests(unit)
    assert ids(unit) == {1, 2, 3}


def test_a_table_of_sqlite_at_rest_is_not_read_for_ever(sqlite_file: SqliteMaker, lite_unit: Any) -> None:
    path: Path = sqlite_file(
        "CREATE TABLE t (id integer PRIMARY KEY, ts text)", "INSERT INTO t VALUES (1, '2024-01-01 10:00:00')"
    )
    unit = lite_unit(path, "t", cursor="ts", lookback=None)
    unit.run()
    assert unit.run().slices == []


def test_the_default_is_five_minutes_for_times_of_rows_with_a_key(pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED)
    pg.run("INSERT INTO t VALUES (1)")
    units = {
        "default": pg_unit("t", cursor="ts", lookback=None),
        "off": pg_unit("t", cursor="ts", lookback=0),
        "append": pg_unit("t", cursor="ts", write="append", lookback=None),
        "counter": pg_unit("t", cursor="id", lookback=None),
    }
    for unit in units.values():
        unit.run()
        unit.run()
    assert {name for name, unit in units.items() if unit.outcome.slices} == {"default"}
    (scope,) = units["default"].outcome.scopes
    lower, upper = scope.target.lower, scope.target.upper
    assert lower is not None
    assert upper is not None
    span = pg.run(f"SELECT extract(epoch FROM '{upper[0]}'::timestamptz - '{lower[0]}'::timestamptz)")[0][0]
    assert 200 < span <= 300


class SetBack:
    """A server of PostgreSQL whose clock, as this package reads it, can be set back."""

    def __init__(self, pg: Postgres) -> None:
        self._pg = pg
        pg.run("CREATE SCHEMA fake")
        pg.run("CREATE TABLE fake.step (back interval NOT NULL)")
        pg.run("INSERT INTO fake.step VALUES ('0')")
        pg.run(
            "CREATE FUNCTION fake.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS"
            " 'SELECT pg_catalog.clock_timestamp() - (SELECT back FROM fake.step)'"
        )

        pg.run(
            "DO 'BEGIN EXECUTE format(''ALTER DATABASE %I SET search_path = fake, pg_catalog, public'', current_database()); END'"
        )

    def by(self, interval: str) -> None:
        self._pg.run(f"UPDATE fake.step SET back = back + interval '{interval}'")

    def insert(self, number: int) -> None:
        self._pg.run(f"INSERT INTO t VALUES ({number}, fake.clock_timestamp())")


@pytest.fixture
def set_back(pg: Postgres) -> SetBack:
    return SetBack(pg)


@pytest.mark.parametrize("interval", ["90 minutes", "30 days"])
def test_rows_below_the_watermark_are_read_after_the_clock_was_set_back(
    interval: str, pg: Postgres, pg_unit: Any, set_back: SetBack, caplog: pytest.LogCaptureFixture
) -> None:
    pg.run(TIMED)
    set_back.insert(1)
    unit, off = pg_unit("t", cursor="ts", lookback=None), pg_unit("t", cursor="ts", lookback=0)
    unit.run(), off.run()
    unit.run(), off.run()
    set_back.by(interval)
    set_back.insert(2)
    for run in (unit, off):
        assert not run.strategy.is_unchanged(run.spec, run.states), "the newest row alone would hide it"
        run.run()
        assert run.outcome.probe is not None
        assert "the clock of the source was set back by" in str(run.outcome.probe.facts["warning"])
    assert "verify --repair" in str(off.outcome.probe.facts["warning"])  # type: ignore[union-attr]
    assert "the clock of the source was set back by" in caplog.text
    set_back.insert(3)
    unit.run()
    assert ids(unit) == {1, 2, 3}
    assert unit.outcome.probe is not None
    assert "warning" not in unit.outcome.probe.facts, "it is said once, when it is noticed"


def test_a_clock_that_was_set_back_between_two_distant_runs_is_noticed_by_the_readers_clock(
    pg: Postgres, pg_unit: Any, set_back: SetBack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last run was two hours ago, and the clock was set back by one hour since: it shows more than then."""
    pg.run(TIMED)
    set_back.by("2 hours")
    before = time.time
    monkeypatch.setattr(lookback.time, "time", lambda: before() - 7_200)
    set_back.insert(1)
    unit = pg_unit("t", cursor="ts", lookback=None)
    unit.run()
    monkeypatch.setattr(lookback.time, "time", before)
    set_back.by("-1 hour")
    pg.run("INSERT INTO t VALUES (2, pg_catalog.clock_timestamp() - interval '2 hours 50 minutes')")
    assert not unit.strategy.is_unchanged(unit.spec, unit.states)
    unit.run()
    assert unit.outcome.probe is not None
    assert "set back by 3600 s" in str(unit.outcome.probe.facts["warning"])
    assert ids(unit) == {1, 2}


@pytest.mark.services
def test_a_clock_of_mariadb_that_was_set_back_is_noticed(maria: Maria, monkeypatch: pytest.MonkeyPatch) -> None:
    maria.run("CREATE TABLE t (id int PRIMARY KEY, ts timestamp(6) NOT NULL DEFAULT now(6))")
    maria.run("INSERT INTO t (id) VALUES (1)")
    time.sleep(1.1)
    unit = maria.unit("t", cursor="ts")
    unit.run()
    unit.run()
    read_clock, set_back_s = "ingest_strategies.jdbc.mysql.horizon.read_clock", 5_000
    from ingest_strategies.jdbc.mysql.horizon import read_clock as right_clock

    monkeypatch.setattr(read_clock, lambda session: right_clock(session) - set_back_s)
    monkeypatch.setattr(
        "ingest_strategies.jdbc.mysql.dialect.Mysql.clock_s", f"(unix_timestamp(sysdate(6)) - {set_back_s})"
    )
    maria.run(f"INSERT INTO t (id, ts) VALUES (2, now(6) - INTERVAL {set_back_s} SECOND)")
    assert not unit.strategy.is_unchanged(unit.spec, unit.states)
    unit.run()
    assert unit.outcome.probe is not None
    assert "set back by 5" in str(unit.outcome.probe.facts["warning"])
    assert ids(unit) == {1, 2}
