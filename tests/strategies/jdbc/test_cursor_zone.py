"""Times without a zone, written by an application in another zone than the database's."""

import sqlite3
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.testing.servers.postgres import Postgres, SqliteMaker
from ingest_strategies.jdbc.mysql.horizon import local_times
from ingest_strategies.jdbc.planning import wall_times
from ingest_strategies.jdbc.planning.wall_times import earliest_wall_time, most_set_back
from tests.strategies.jdbc.maria import Maria


def horizon_of(unit: Any) -> Any:
    return unit.outcome.probe.horizon


@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize("kind", ["timestamp", "timestamp(0)", "date"])
def test_an_open_transaction_of_another_zone_loses_no_row(
    kind: str, zone: str | None, pg: Postgres, pg_unit: Any
) -> None:
    pg.run(f"CREATE TABLE t (id serial PRIMARY KEY, ts {kind} NOT NULL)")
    pg.run(f"ALTER DATABASE {pg.name} SET TimeZone = 'Europe/Berlin'")
    insert = "INSERT INTO t (ts) VALUES ((now() AT TIME ZONE 'UTC') + interval '{0}')"
    pg.run(insert.format("-2 days"))
    unit = pg_unit("t", cursor="ts", cursor_zone=zone)
    unit.run()
    late = pg.connect()
    pg.run(insert.format("0 s"), late)
    pg.run(insert.format("1 ms"))
    unit.run()
    first = horizon_of(unit)
    late.commit()
    unit.run()
    assert {row["id"] for row in unit.sink.values()} == {1, 2, 3}
    assert "policy cursor_zone" in first.note
    assert ("UTC-12" in first.note) == (zone is None)


def test_a_declared_zone_lets_an_append_follow_while_transactions_are_open(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id serial PRIMARY KEY, ts timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'Asia/Tokyo'))")
    unit = pg_unit("t", cursor="ts", cursor_zone="Asia/Tokyo", write="append")
    pg.run("INSERT INTO t DEFAULT VALUES")
    late = pg.connect()
    pg.run("SELECT 1", late)
    unit.run()
    pg.run("INSERT INTO t DEFAULT VALUES", late)
    pg.run("INSERT INTO t DEFAULT VALUES")
    assert [row["id"] for row in unit.appended] == [1]
    late.commit()
    unit.run()
    assert Counter(row["id"] for row in unit.appended) == Counter([1, 2, 3])


@pytest.mark.services
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_mariadb_an_open_transaction_of_another_zone_loses_no_row(zone: str | None, maria: Maria) -> None:
    maria.run("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, ts datetime(6) NOT NULL)")
    before = maria.run("SELECT @@global.time_zone")[0][0]
    insert = "INSERT INTO t (ts) VALUES (utc_timestamp(6) + INTERVAL {0} SECOND)"
    try:
        maria.run("SET GLOBAL time_zone = '+02:00'")
        maria.run(insert.format(-7200))
        unit = maria.unit("t", cursor="ts", cursor_zone=zone)
        unit.run()
        late = maria.connect()
        maria.run(insert.format(0), late)
        maria.run(insert.format("0.001"))
        unit.run()
        first = horizon_of(unit)
        late.commit()
        unit.run()
    finally:
        maria.run(f"SET GLOBAL time_zone = '{before}'")
    assert {row["id"] for row in unit.sink.values()} == {1, 2, 3}
    assert "policy cursor_zone" in first.note
    assert ("UTC-12" in first.note) == (zone is None)


@pytest.mark.parametrize(("cursor", "zone"), [("ts", "Mars/Olympus"), ("id", "UTC"), ("tz", "UTC"), ("ts", "+02:00")])
def test_a_zone_that_does_not_apply_is_refused(cursor: str, zone: str, pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, ts timestamp, tz timestamptz)")
    unit = pg_unit("t", cursor=cursor, cursor_zone=zone)
    with pytest.raises(ConfigError, match="cursor_zone"):
        unit.strategy.check(unit.spec)


def test_a_zone_is_refused_where_the_horizon_has_no_use_for_it(sqlite_file: SqliteMaker, lite_unit: Any) -> None:
    path = sqlite_file("CREATE TABLE t (id integer PRIMARY KEY, ts text)")
    unit = lite_unit(path, "t", cursor="ts", cursor_zone="UTC")
    with pytest.raises(ConfigError, match="cursor_zone"):
        unit.strategy.check(unit.spec)


@pytest.mark.services
def test_mariadb_a_declared_lag_is_no_open_transaction(maria: Maria) -> None:
    maria.run("CREATE TABLE t (id int PRIMARY KEY, ts datetime(6) NOT NULL)")
    maria.run("INSERT INTO t VALUES (1, now(6) - INTERVAL 50 MINUTE)")
    unit = maria.unit("t", cursor="ts", lag=1, write="append")
    unit.run()
    assert [row["id"] for row in unit.appended] == [1]
    assert "UTC-12" not in horizon_of(unit).note


def test_a_lag_also_counts_where_the_zone_of_the_rows_is_unknown(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id serial PRIMARY KEY, ts timestamp NOT NULL)")
    pg.run(f"ALTER DATABASE {pg.name} SET TimeZone = 'Pacific/Kiritimati'")
    insert = "INSERT INTO t (ts) VALUES ((now() AT TIME ZONE 'UTC') - interval '{0}')"
    unit = pg_unit("t", cursor="ts", write="append", lag=120)
    pg.run(insert.format("1 day"))
    pg.run(insert.format("0 s"))
    unit.run()
    pg.run(insert.format("60 s"))
    pg.run(insert.format("-1 hour"))
    unit.run()
    pg.run(insert.format("-2 hours"))
    unit.run()
    assert Counter(row["id"] for row in unit.appended) == Counter([1, 2, 3, 4])


@pytest.mark.parametrize("kind", ["timestamp", "timestamp(0)"])
def test_an_hour_that_repeats_in_the_zone_of_the_rows_loses_no_row(
    kind: str, pg: Postgres, pg_unit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's zone is ahead, and has no such hour."""
    monkeypatch.setattr(wall_times, "most_set_back", lambda since, until: timedelta(hours=1))
    pg.run(f"CREATE TABLE t (id serial PRIMARY KEY, ts {kind} NOT NULL)")
    pg.run(f"ALTER DATABASE {pg.name} SET TimeZone = 'Pacific/Kiritimati'")
    insert = "INSERT INTO t (ts) VALUES ((now() AT TIME ZONE 'UTC') - interval '{0}')"
    unit = pg_unit("t", cursor="ts", write="append")
    pg.run(insert.format("1 day"))
    pg.run(insert.format("0 s"))
    unit.run()
    pg.run(insert.format("55 minutes"))
    pg.run(insert.format("-3 hours"))
    unit.run()
    assert Counter(row["id"] for row in unit.appended) == Counter([1, 2, 3])


def test_sqlite_a_day_of_an_application_behind_utc_is_read_when_it_is_over(
    sqlite_file: SqliteMaker, lite_unit: Any
) -> None:
    path = sqlite_file("CREATE TABLE t (id integer PRIMARY KEY, day text)")

    def insert(days: int) -> None:
        day = (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%d")
        connection = sqlite3.connect(path)
        with connection:
            connection.execute("INSERT INTO t (day) VALUES (?)", (day,))
        connection.close()

    unit = lite_unit(path, "t", cursor="day", write="append")
    insert(-3)
    insert(-1)
    unit.run()
    insert(-1)
    insert(0)
    unit.run()
    assert Counter(row["id"] for row in unit.appended) == Counter([1, 2, 3])


def test_clocks_are_set_back_on_few_days_only() -> None:
    assert most_set_back(*[datetime(2026, 6, 1, tzinfo=UTC)] * 2) == timedelta()
    berlin = datetime(2026, 10, 25, 1, tzinfo=UTC)
    assert most_set_back(berlin - timedelta(minutes=59), berlin - timedelta(minutes=59)) >= timedelta(hours=1)
    assert most_set_back(berlin + timedelta(minutes=59), berlin + timedelta(minutes=59)) >= timedelta(hours=1)
    assert most_set_back(*[berlin + timedelta(days=2)] * 2) == timedelta()


@pytest.mark.slow
@pytest.mark.parametrize("zone_s", range(-12 * 3600, 14 * 3600 + 1, 2700))
@pytest.mark.parametrize("lag_s", [0, 1, 400, 5000])
def test_no_later_row_lies_below_the_earliest_wall_time(zone_s: int, lag_s: int) -> None:
    clock, lag, tick = datetime(2026, 6, 1, 12, 0, 0, 7, UTC), timedelta(seconds=lag_s), timedelta(seconds=1)
    for age_s in (0, 0.4, 7, 899.9, 1000, 90_000):
        newest = clock.replace(tzinfo=None) + timedelta(seconds=zone_s - age_s)
        later = clock.replace(tzinfo=None) + timedelta(seconds=zone_s - lag_s)
        bound = earliest_wall_time(newest.replace(microsecond=0), clock, lag, tick)
        assert bound.replace(microsecond=0) <= later.replace(microsecond=0)
        assert bound >= newest - tick - 2 * lag - timedelta(seconds=1)


def test_mysql_an_hour_that_repeats_is_seen_from_its_beginning() -> None:
    shortly_before = Decimal(int(datetime(2026, 10, 25, 0, 5, 46, tzinfo=UTC).timestamp()))
    assert min(local_times(shortly_before, "Europe/Berlin")) == "2026-10-25 02:00:00.000000"
