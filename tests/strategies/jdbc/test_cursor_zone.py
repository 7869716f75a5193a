"""Times without a zone, written by an application in another zone than the database's."""

from collections import Counter
from typing import Any

import pytest

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.testing.servers.postgres import Postgres, SqliteMaker
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
    maria.run("INSERT INTO t VALUES (1, now(6) - INTERVAL 1 HOUR)")
    unit = maria.unit("t", cursor="ts", lag=1, write="append")
    unit.run()
    assert [row["id"] for row in unit.appended] == [1]
    assert "UTC-12" not in horizon_of(unit).note
