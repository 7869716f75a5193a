"""Section C of the conformance list for MariaDB: cursors, horizons, boundaries."""

import threading
import time
from collections import Counter
from typing import Any

import pytest

from ingest_ray.sdk.errors import ConfigError, ModeUnsupported
from ingest_ray.testing.dry_run import Rehearsal
from tests.strategies.jdbc.maria import Maria

pytestmark = pytest.mark.services


def run_later(unit: Rehearsal) -> None:
    """A run some moments later: rows written before are then below the horizon."""
    time.sleep(1.1)
    unit.run()


def source_ids(maria: Maria) -> Counter[int]:
    return Counter(int(row[0]) for row in maria.run("SELECT id FROM t"))  # type: ignore[call-overload]


def sink_ids(unit: Rehearsal) -> Counter[int]:
    return Counter(row["id"] for row in unit.sink.values())


def create_times(maria: Maria, kind: str = "timestamp(6)", rows: int = 40) -> None:
    maria.run(f"CREATE TABLE t (id bigint PRIMARY KEY, ts {kind} NOT NULL DEFAULT now(6), note varchar(20), KEY (ts))")
    maria.run(f"INSERT INTO t SELECT seq, '2026-01-01' + INTERVAL seq * 7 MICROSECOND, 'old' FROM seq_1_to_{rows}")


CURSORS = ["timestamp(6)", "timestamp", "datetime(6)", "datetime", "date"]


@pytest.mark.parametrize("write", ["upsert", "append"])
@pytest.mark.parametrize("kind", CURSORS)
def test_c29_a_load_then_changes_have_neither_gap_nor_double(kind: str, write: str, maria: Maria) -> None:
    create_times(maria, kind)
    maria.run("SET SESSION time_zone = '+00:00'")
    unit = maria.unit("t", cursor="ts", write=write)
    unit.run()
    maria.run("INSERT INTO t (id) VALUES (1001), (1002)")
    unit.run()
    maria.run("INSERT INTO t (id) VALUES (1003)")
    unit.run()
    maria.run("INSERT INTO t (id) VALUES (1004)")
    run_later(unit)
    if write == "upsert":
        assert sink_ids(unit) == source_ids(maria)
    else:
        doubled = {key: n for key, n in Counter(row["id"] for row in unit.appended).items() if n > 1}
        assert not doubled


@pytest.mark.parametrize("kind", ["bigint", "bigint unsigned", "decimal(20,3)", "double", "varchar(20)", "uuid"])
def test_cursors_of_every_kind(kind: str, maria: Maria) -> None:
    value = "concat('00000000-0000-4000-8000-', lpad({0}, 12, '0'))" if kind == "uuid" else "{0}"
    if kind == "varchar(20)":
        value = "lpad({0}, 9, '0')"
    maria.run(f"CREATE TABLE t (id int PRIMARY KEY, c {kind} NOT NULL UNIQUE)")
    maria.run(f"INSERT INTO t SELECT seq, {value.format('seq * 10')} FROM seq_1_to_40")
    unit = maria.unit("t", cursor="c")
    unit.run()
    maria.run(f"INSERT INTO t SELECT seq, {value.format('seq * 10')} FROM seq_41_to_60")
    unit.run()
    assert sink_ids(unit) == source_ids(maria)
    again = unit.run()
    assert len(again.rows) <= 1, "only the tie at the boundary is read again"


def test_a_second_run_over_an_unchanged_table_has_no_slices(maria: Maria) -> None:
    create_times(maria)
    unit = maria.unit("t", cursor="ts")
    assert len(unit.run().rows) == 40
    assert unit.run().slices == []


@pytest.mark.parametrize("kind", ["timestamp(6)", "datetime(6)"])
def test_c21_a_transaction_open_across_two_runs_is_found(kind: str, maria: Maria) -> None:
    create_times(maria, kind)
    unit = maria.unit("t", cursor="ts", write="append")
    slow = maria.connect()
    maria.run("INSERT INTO t (id, note) VALUES (1001, 'slow')", slow)
    time.sleep(1.1)
    maria.run("INSERT INTO t (id, note) VALUES (1002, 'quick')")
    outcome = unit.run()
    assert outcome.probe is not None
    assert outcome.probe.horizon is not None
    assert outcome.probe.horizon.method.startswith("start of the oldest of 1 open")
    unit.run()
    assert 1001 not in {row["id"] for row in unit.appended}
    slow.commit()
    run_later(unit)
    maria.run("INSERT INTO t (id, note) VALUES (1003, 'later')")
    run_later(unit)
    run_later(unit)
    ids = Counter(row["id"] for row in unit.appended)
    assert ids - source_ids(maria) == Counter()
    assert {1001, 1002} <= set(ids)


def test_c21_a_statement_that_waits_for_a_lock_holds_the_horizon(maria: Maria) -> None:
    """Its `now()` is fixed before it has a transaction."""
    create_times(maria, "timestamp(6)", 5)
    holder, waiter = maria.connect(), maria.connect(autocommit=True)
    maria.run("LOCK TABLES t WRITE", holder)
    thread = threading.Thread(target=maria.run, args=("INSERT INTO t (id, ts) VALUES (77, now(6))", waiter))
    thread.start()
    deadline = time.monotonic() + 60
    while not maria.run("SELECT id FROM information_schema.processlist WHERE info LIKE 'INSERT INTO t (id, ts)%'"):
        assert time.monotonic() < deadline, "the writer does not wait"
        time.sleep(0.02)
    time.sleep(1.2)  # the clock of the horizon has whole seconds
    from ingest_strategies.jdbc.mysql.config import MysqlConfig
    from ingest_strategies.jdbc.mysql.horizon import read_clock, read_oldest_transaction
    from ingest_strategies.jdbc.mysql.session import MysqlSession

    session = MysqlSession(MysqlConfig(url=maria.url), lambda message, number: ConfigError(message))
    oldest, count = read_oldest_transaction(session)
    clock = read_clock(session)
    session.close()
    maria.run("UNLOCK TABLES", holder)
    thread.join()
    written = maria.run("SELECT unix_timestamp(ts) FROM t WHERE id = 77")[0][0]
    assert count >= 1
    assert oldest is not None
    assert oldest <= written < clock


def test_c21_a_counter_is_held_by_an_open_writer(maria: Maria, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_strategies.jdbc.mysql.horizon.LOCK_WAIT_S", 0.4)
    maria.run("CREATE TABLE t (id bigint AUTO_INCREMENT PRIMARY KEY, note varchar(9))")
    maria.run("INSERT INTO t (note) VALUES ('a'), ('b')")
    unit = maria.unit("t", cursor="id", write="append")
    unit.run()
    slow = maria.connect()
    maria.run("INSERT INTO t (note) VALUES ('slow')", slow)
    maria.run("INSERT INTO t (note) VALUES ('quick')")
    outcome = unit.run()
    assert outcome.probe is not None
    assert outcome.probe.horizon is not None
    assert outcome.probe.horizon.method == "held at the watermark by open writers"
    assert outcome.rows == []
    slow.commit()
    unit.run()
    assert Counter(row["id"] for row in unit.appended) == source_ids(maria)


def test_c21_a_counter_waits_for_a_writer_that_ends_soon(maria: Maria) -> None:
    maria.run("CREATE TABLE t (id bigint AUTO_INCREMENT PRIMARY KEY, note varchar(9))")
    slow = maria.connect()
    maria.run("INSERT INTO t (note) VALUES ('slow')", slow)
    maria.run("INSERT INTO t (note) VALUES ('quick')")
    unit = maria.unit("t", cursor="id", write="append")
    timer = threading.Timer(0.6, slow.commit)
    timer.start()
    unit.run()
    timer.join()
    assert Counter(row["id"] for row in unit.appended) == source_ids(maria) == Counter([1, 2])


def test_c20_a_row_committed_while_slices_are_read_is_found_next_run(maria: Maria) -> None:
    create_times(maria)
    unit = maria.unit("t", cursor="ts")

    def write(done: int) -> None:
        if done == 1:
            maria.run("INSERT INTO t (id, ts) VALUES (0, utc_timestamp(6))")
            maria.run("UPDATE t SET note = 'new', ts = utc_timestamp(6) WHERE id = 39")

    maria.run("SET SESSION time_zone = '+00:00'")
    unit.run(between=write)
    run_later(unit)
    assert sink_ids(unit) == source_ids(maria)
    assert unit.sink[39,]["note"] == "new"


def test_c19_a_group_of_ties_larger_than_a_slice_is_one_slice(maria: Maria) -> None:
    maria.run("CREATE TABLE t (id int PRIMARY KEY, ts datetime NOT NULL)")
    maria.run("INSERT INTO t SELECT seq, CASE WHEN seq < 60 THEN '2026-01-01' ELSE '2026-01-02' END FROM seq_1_to_95")
    unit = maria.unit("t", cursor="ts", write="append")
    unit.run()
    run_later(unit)
    maria.run("INSERT INTO t SELECT seq, '2026-01-03' FROM seq_101_to_195")
    run_later(unit)
    assert Counter(row["id"] for row in unit.appended) == source_ids(maria)


@pytest.mark.parametrize("write", ["upsert", "append"])
def test_c24_null_cursors_are_included_left_out_or_refused(write: str, maria: Maria) -> None:
    maria.run("CREATE TABLE t (id int PRIMARY KEY, ts datetime NULL)")
    maria.run("INSERT INTO t SELECT seq, CASE WHEN seq % 4 = 0 THEN NULL ELSE '2026-01-01' END FROM seq_1_to_40")
    include = maria.unit("t", cursor="ts", write=write)
    include.run()
    assert {row["id"] for row in include.appended if row["ts"] is None} == set(range(4, 41, 4))
    exclude = maria.unit("t", cursor="ts", write=write, cursor_nulls="exclude")
    exclude.run()
    assert all(row["ts"] is not None for row in exclude.appended)
    with pytest.raises(ConfigError, match="is NULL in 10 rows"):
        maria.unit("t", cursor="ts", cursor_nulls="raise").run()


def test_c22_a_late_row_in_the_lookback_is_found(maria: Maria) -> None:
    create_times(maria)
    unit = maria.unit("t", cursor="ts", lookback="365d")
    unit.run()
    maria.run("INSERT INTO t (id, ts) VALUES (2001, '2025-12-31 23:00:00'), (2002, '2026-01-01 00:00:00.000001')")
    unit.run()
    assert sink_ids(unit) == source_ids(maria)


def test_c26_a_wall_clock_that_is_set_back_loses_no_row(maria: Maria) -> None:
    """Wall times of the last three hours may come again: the horizon lies below all of them."""
    from decimal import Decimal

    from ingest_strategies.jdbc.dialect import AxisColumn
    from ingest_strategies.jdbc.mysql.config import MysqlConfig
    from ingest_strategies.jdbc.mysql.horizon import column_time
    from ingest_strategies.jdbc.mysql.session import MysqlSession

    maria.run("CREATE TABLE t (id int, ts datetime(6))")
    maria.run("INSERT INTO t VALUES (1, '2027-01-15 21:00:00'), (2, '2099-01-01')")
    session = MysqlSession(MysqlConfig(url=maria.url), lambda message, number: ConfigError(message))
    before = maria.run("SELECT @@global.time_zone")[0][0]
    try:
        maria.run("SET GLOBAL time_zone = '+05:45'")
        value, note = column_time(
            session, AxisColumn("ts", "timestamp", "t.ts", "datetime(6)"), "t", Decimal("1800000000.25")
        )
    finally:
        maria.run(f"SET GLOBAL time_zone = '{before}'")
        session.close()
    assert value == "2027-01-15 13:45:00.250000"
    assert note is not None
    assert "+05:45" in note


def test_c27_future_rows_move_nothing(maria: Maria) -> None:
    create_times(maria)
    maria.run("INSERT INTO t (id, ts) VALUES (3001, '2037-01-01')")
    unit = maria.unit("t", cursor="ts")
    unit.run()
    maria.run("SET SESSION time_zone = '+00:00'")
    maria.run("INSERT INTO t (id) VALUES (3002)")
    run_later(unit)
    assert sink_ids(unit) == source_ids(maria)


def test_c28_a_backfill_reads_its_interval_and_moves_nothing(maria: Maria) -> None:
    create_times(maria)
    unit = maria.unit("t", cursor="ts")
    unit.run()
    with unit.strategy.probe(unit.spec, unit.states) as probe:
        (scope,) = unit.strategy.between(
            unit.spec, probe, unit.states, "2026-01-01T00:00:00.000070+00:00", "2026-01-02"
        )
        assert scope.estimated_rows == 31
        for wrong in ("yesterday", "2026-13-01", "'; DROP TABLE t"):
            with pytest.raises(ConfigError, match="is no value of cursor"):
                unit.strategy.between(unit.spec, probe, unit.states, wrong, None)


def test_d34_a_load_that_was_killed_goes_on_under_its_first_horizon(maria: Maria) -> None:
    from ingest_ray.testing.dry_run import Stopped

    create_times(maria, rows=95)
    unit = maria.unit("t", cursor="ts")
    with pytest.raises(Stopped):
        unit.run(stop_after=4)
    maria.run("UPDATE t SET note = 'changed', ts = utc_timestamp(6) WHERE id IN (1, 95)")
    unit.run()
    run_later(unit)
    assert sink_ids(unit) == source_ids(maria)
    assert unit.sink[1,]["note"] == "changed"


def test_a_user_without_process_declares_a_lag_for_times_and_refuses_counters(maria: Maria) -> None:
    create_times(maria)
    maria.run("CREATE USER IF NOT EXISTS 'blind'@'localhost'")
    maria.run(f"GRANT SELECT ON `{maria.name}`.* TO 'blind'@'localhost'")
    outcome = maria.unit("t", user="blind", cursor="ts").run()
    assert outcome.probe is not None
    assert outcome.probe.horizon is not None
    assert outcome.probe.horizon.method == "server clock minus a declared lag of 300 s"
    assert "GRANT PROCESS" in str(outcome.probe.horizon.note)
    with pytest.raises(ConfigError, match="no safe horizon"):
        maria.unit("t", user="blind", cursor="id").run()
    lagged = maria.unit("t", user="blind", cursor="id", lag=10).run()
    assert lagged.probe is not None
    assert lagged.probe.horizon is not None
    assert lagged.probe.horizon.value == (30,)


@pytest.mark.parametrize("kind", ["enum('a', 'b')", "time", "json", "blob", "set('a')", "inet6"])
def test_a3_what_cannot_be_a_cursor_is_refused_before_a_request(kind: str, maria: Maria) -> None:
    maria.run(f"CREATE TABLE t (id int PRIMARY KEY, c {kind})")
    unit: Any = maria.unit("t", cursor="c")
    with pytest.raises(ModeUnsupported, match="cannot be a cursor"):
        unit.strategy.check(unit.spec)


def test_the_plan_says_that_there_is_no_common_snapshot(maria: Maria) -> None:
    create_times(maria, rows=3)
    outcome = maria.unit("t").run()
    assert outcome.probe is not None
    assert outcome.probe.snapshot is None
    assert str(outcome.probe.facts["snapshot"]).startswith("no")
