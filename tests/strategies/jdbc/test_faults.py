"""Faults of a source become errors by what to do next: denied, changed, unavailable; never an end of the data."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.core import planning
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import ConfigError, SnapshotLost, SourceChanged, SourceDenied, SourceError, SourceUnavailable
from ingest_ray.sdk.types import Endpoint, Interval, Policy, RunMode, Slice, UnitConfig, UnitSpec
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.servers.postgres import Postgres, SqliteMaker
from ingest_strategies.jdbc.postgres.dialect import Postgres as Dialect


def first_slice(rehearsal: Rehearsal) -> Slice:
    with rehearsal.strategy.probe(rehearsal.spec, {}) as probe:
        scopes = rehearsal.strategy.scopes(rehearsal.spec, probe, {})
        return next(planning.slices(rehearsal.strategy, rehearsal.spec, probe, scopes))


def whole_table(rehearsal: Rehearsal) -> Slice:
    """The table as one slice, outside of the snapshot that has ended."""
    update = {"snapshot": None, "interval": Interval(), "hints": {"is_exact": True}}
    return first_slice(rehearsal).model_copy(update=update)


@pytest.fixture
def unit(pg: Postgres, pg_unit: Any) -> Rehearsal:
    pg.run("CREATE TABLE t (id integer PRIMARY KEY, v text)")
    pg.run("INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 40) i")
    rehearsal: Rehearsal = pg_unit("t")
    return rehearsal


def wait_until_no_session(pg: Postgres) -> None:
    """A server ends a session some time after its connection was closed."""
    deadline = time.monotonic() + 60
    while (left := pg.run("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ingest_ray'")[0][0]) > 0:
        assert time.monotonic() < deadline, f"{left} sessions are left"
        time.sleep(0.02)


def test_a_snapshot_that_is_gone_differs_from_a_source_that_is_away(unit: Rehearsal, pg: Postgres) -> None:
    piece = first_slice(unit)
    wait_until_no_session(pg)
    with pytest.raises(SnapshotLost, match="is gone"):
        list(unit.read(piece))
    with pytest.raises(SourceUnavailable, match="snapshot"):
        list(unit.read(piece.model_copy(update={"snapshot": "'; DROP TABLE t; --"})))


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DROP TABLE t", "the table is gone"),
        ("ALTER TABLE t DROP COLUMN v", "column 'v' is gone"),
        ("ALTER TABLE t RENAME COLUMN v TO w", "column 'v' is gone"),
        ("ALTER TABLE t ALTER COLUMN v TYPE varchar(9)", "was 'text' and is 'character varying"),
    ],
)
def test_c68_a_table_that_changed_between_plan_and_read(
    statement: str, message: str, unit: Rehearsal, pg: Postgres
) -> None:
    piece = first_slice(unit).model_copy(update={"snapshot": None})
    pg.run(statement)
    with pytest.raises(SourceChanged, match=message):
        list(unit.read(piece))
    with pytest.raises(SourceChanged, match=message):
        unit.run()


def test_c68_a_column_that_was_added_does_not_disturb(unit: Rehearsal, pg: Postgres) -> None:
    pg.run("ALTER TABLE t ADD COLUMN w integer")
    assert len(unit.run().rows) == 40


def test_c68_sqlite_tables_that_changed(sqlite_file: SqliteMaker, lite_unit: Any) -> None:
    path = sqlite_file("CREATE TABLE t (id integer PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a')")
    rehearsal = lite_unit(path, "t")
    piece = first_slice(rehearsal)
    sqlite_file("ALTER TABLE t RENAME COLUMN v TO w")
    with pytest.raises(SourceChanged, match="column 'v' is gone"):
        list(rehearsal.read(piece))
    sqlite_file("DROP TABLE t")
    with pytest.raises(SourceChanged, match="the table is gone"):
        list(rehearsal.read(piece))


def test_a_table_without_a_grant_is_denied_and_the_others_are_read(pg: Postgres) -> None:
    pg.run("CREATE TABLE open (id integer PRIMARY KEY)")
    pg.run("CREATE TABLE closed (id integer PRIMARY KEY)")
    pg.run("DROP ROLE IF EXISTS reader")
    pg.run("CREATE ROLE reader LOGIN")
    pg.run("GRANT SELECT ON open TO reader")
    endpoint = Endpoint(endpoint_id="pg", template="jdbc.postgres", config={"url": pg.url_of("reader")})
    strategy = strategy_for("jdbc.postgres")
    datasets = {dataset.name: dataset for dataset in strategy.collect(endpoint)}
    assert strategy.preview(endpoint, datasets["public.open"], 1).num_rows == 0
    with pytest.raises(SourceDenied, match="permission denied"):
        strategy.preview(endpoint, datasets["public.closed"], 1)


def reload_configuration(pg: Postgres) -> None:
    """The server reads it some time after it was asked to, and new sessions follow it."""
    before = pg.run("SELECT pg_conf_load_time()")
    pg.run("SELECT pg_reload_conf()")
    deadline = time.monotonic() + 60
    while pg.run("SELECT pg_conf_load_time()") == before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a2_a_wrong_password_is_denied_and_not_shown(postgres_server: Any, pg: Postgres) -> None:
    rules = Path(postgres_server.pgdata) / "pg_hba.conf"
    before = rules.read_text()
    pg.run("DROP ROLE IF EXISTS locked")
    pg.run("CREATE ROLE locked LOGIN PASSWORD 'right-password'")
    rules.write_text("local all locked scram-sha-256\n" + before)
    try:
        reload_configuration(pg)
        strategy = strategy_for("jdbc.postgres")
        for password, ok in [("wrong-password", False), (None, False), ("right-password", True)]:
            config = {"url": pg.url_of("locked"), **({"password": password} if password else {})}
            report = strategy.test(Endpoint(endpoint_id="pg", template="jdbc.postgres", config=config))
            assert report.ok is ok
            assert ok or report.diagnostics[0].code == "denied"
            assert "wrong-password" not in report.model_dump_json()
    finally:
        rules.write_text(before)
        pg.run("SELECT pg_reload_conf()")


def test_a2_a_host_that_does_not_answer_is_unavailable_and_the_url_is_not_shown() -> None:
    config = {"url": "postgresql://app:s3cr3t@127.0.0.1:1/shop", "connect_timeout_s": 2}
    endpoint = Endpoint(endpoint_id="pg", template="jdbc.postgres", config=config)
    with pytest.raises(SourceUnavailable) as caught:
        list(strategy_for("jdbc.postgres").collect(endpoint))
    assert "s3cr3t" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_database_that_does_not_exist_names_the_field(pg: Postgres) -> None:
    endpoint = Endpoint(endpoint_id="pg", template="jdbc.postgres", config={"url": pg.url.replace(pg.name, "nowhere")})
    report = strategy_for("jdbc.postgres").test(endpoint)
    assert not report.ok
    assert report.diagnostics[0].hint == "field 'database'"


def test_a_session_that_is_ended_by_the_server_is_unavailable(unit: Rehearsal, pg: Postgres) -> None:
    pg.run("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(100, 40000) i")
    piece = whole_table(unit)
    unit.page_bytes = 64 * 1024
    batches = unit.read(piece)
    next(batches)
    pg.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ingest_ray'")
    with pytest.raises(SourceUnavailable):
        list(batches)


def test_the_planner_of_a_run_that_lost_its_connection_says_so(unit: Rehearsal, pg: Postgres) -> None:
    with unit.strategy.probe(unit.spec, {}) as probe:
        scopes = unit.strategy.scopes(unit.spec, probe, {})
        piece = next(planning.slices(unit.strategy, unit.spec, probe, scopes))
        pg.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ingest_ray'")
        wait_until_no_session(pg)
        with pytest.raises(SnapshotLost, match="is gone"):
            list(unit.read(piece))


def test_a_statement_that_takes_too_long_is_unavailable(pg: Postgres) -> None:
    pg.run("CREATE VIEW slow AS SELECT 1 AS id, pg_sleep(120) IS NULL AS slept")
    config = {"url": pg.url, "statement_timeout_s": 0.3}
    endpoint = Endpoint(endpoint_id="pg", template="jdbc.postgres", config=config)
    strategy = strategy_for("jdbc.postgres")
    dataset = next(iter(strategy.collect(endpoint)))
    started = time.monotonic()
    with pytest.raises(SourceUnavailable, match="statement timeout"):
        strategy.preview(endpoint, dataset, 1)
    assert time.monotonic() - started < 60


def test_sessions_write_nothing(pg: Postgres, sqlite_file: SqliteMaker) -> None:
    with Dialect().open(Endpoint(endpoint_id="pg", template="jdbc.postgres", config={"url": pg.url})) as session:
        with pytest.raises(SourceError, match="read-only transaction"):
            session.run("CREATE TABLE written (id integer)")


def test_a_filter_with_a_mistake_names_the_filter(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id integer PRIMARY KEY)")
    with pytest.raises(ConfigError) as caught:
        pg_unit("t", where="id = = 2").run()
    assert caught.value.hint == "check the policy's 'where'"


def test_an_error_in_the_rows_is_no_end_of_the_data(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id integer PRIMARY KEY)")
    pg.run("INSERT INTO t SELECT i FROM generate_series(1, 30000) i")
    with pytest.raises(SourceError, match="division by zero"):
        pg_unit("t", rows_per_slice=60000, where="1 / (29000 - id) < 5").run()


def test_d37_reading_can_be_stopped(unit: Rehearsal) -> None:
    piece = first_slice(unit).model_copy(update={"snapshot": None})
    context = ReadContext(unit.schema, 65536, 10**9, lambda raw, reason, column: None, is_stopping=lambda: True)
    with pytest.raises(SourceUnavailable, match="stopped"):
        list(unit.strategy.read(unit.spec, piece, context))


def test_d37_a_reader_that_is_left_early_leaves_no_session(unit: Rehearsal, pg: Postgres) -> None:
    pg.run("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(100, 20000) i")
    unit.page_bytes = 64 * 1024
    piece = whole_table(unit)
    batches = unit.read(piece)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    wait_until_no_session(pg)


def test_a_role_that_cannot_see_others_declares_a_lag(pg: Postgres) -> None:
    pg.run("DROP ROLE IF EXISTS blind")
    pg.run("CREATE ROLE blind LOGIN")
    pg.run("CREATE TABLE t (id integer PRIMARY KEY, ts timestamptz DEFAULT now())")
    pg.run("GRANT SELECT ON t TO blind")
    pg.run("INSERT INTO t (id) VALUES (1)")
    other = pg.connect()
    pg.run("BEGIN", other)
    pg.run("SELECT 1", other)
    endpoint = Endpoint(endpoint_id="pg", template="jdbc.postgres", config={"url": pg.url_of("blind")})
    strategy = strategy_for("jdbc.postgres")
    dataset = next(iter(strategy.collect(endpoint)))
    config = UnitConfig(
        endpoint_id="pg", unit_id=dataset.name, sink_id="s", run_mode=RunMode.INCREMENTAL, policy=Policy(cursor="ts")
    )
    rehearsal = Rehearsal(strategy, UnitSpec(endpoint=endpoint, dataset=dataset, config=config))
    rehearsal.run()
    horizon = rehearsal.outcome.probe.horizon  # type: ignore[union-attr]
    assert horizon is not None
    assert "declared lag of 300 s" in horizon.method
    assert "pg_read_all_stats" in (horizon.note or "")
    age = pg.run(f"SELECT extract(epoch FROM now() - '{horizon.value[0]}'::timestamptz)")[0][0]
    assert 299 < float(age) < 330


def test_slices_are_read_by_several_threads_at_once(unit: Rehearsal, pg: Postgres) -> None:
    ids: list[int] = []
    with unit.strategy.probe(unit.spec, {}) as probe:
        scopes = unit.strategy.scopes(unit.spec, probe, {})
        pieces = list(planning.slices(unit.strategy, unit.spec, probe, scopes))
        pg.run("UPDATE t SET id = id + 1000")
        threads = [
            threading.Thread(target=lambda p=piece: ids.extend(r["id"] for b in unit.read(p) for r in b.to_pylist()))
            for piece in pieces
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(ids) == list(range(1, 41))
