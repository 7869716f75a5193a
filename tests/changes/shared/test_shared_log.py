"""The units of an endpoint share one slot and one publication: joined, read once, left behind, and taken over from a slot for each unit."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.kv.keys import unit_key
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunState, RunSummary, UnitSpec
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.change_log import drop_unit_log
from ingest_ray.service.runs.execution import run
from ingest_ray.state import reset_state
from ingest_ray.testing.servers.postgres import Postgres
from ingest_strategies.jdbc.postgres.changes import change_log, log_parts, unit_slot
from ingest_strategies.jdbc.postgres.changes.shared_slot import LAG_ROUNDS
from ingest_strategies.jdbc.postgres.changes.slot import create_slot, shared_name, slot_name
from ingest_strategies.jdbc.postgres.session import postgres_session
from tests.changes.log_world import assert_equal, drop_slots, log_world, slots
from tests.changes.test_log_state import attempt, code_of
from tests.service.workspace import Workspace
from tests.verify.table_world import TableWorld

pytestmark = pytest.mark.slow
TABLES = ("a", "b", "c")
SLICE_BYTES = 64 * 1024
ROWS = SLICE_BYTES * LAG_ROUNDS // 3 // 32  # a third of the lag with which a unit is set apart


@contextmanager
def worlds(
    folder: Path, server: Postgres, tables: tuple[str, ...] = TABLES, **policy: Any
) -> Iterator[list[TableWorld]]:
    for table in tables:
        server.run(f"CREATE TABLE {table} (id int PRIMARY KEY, name text); INSERT INTO {table} VALUES (1, 'first')")
    with log_world(folder, server, tables[0], policy=policy) as world:
        yield [replace(world, unit=f"public.{table}", runs=100 * at) for at, table in enumerate(tables)]


def publications(server: Postgres) -> list[str]:
    return [row[0] for row in server.run("SELECT pubname FROM pg_publication ORDER BY 1")]


def pass_running_transactions(server: Postgres) -> None:
    """As the server does by itself every 15 seconds: a slot then needs no catalog of before."""
    server.run("SELECT pg_log_standby_snapshot()")


def run_all(server: Postgres, units: list[TableWorld]) -> None:
    pass_running_transactions(server)
    for world in units:
        world.run()


def run_until_shared(server: Postgres, units: list[TableWorld]) -> None:
    """A unit joins some runs after its load, when the server has forgotten the transactions of before."""
    for _ in range(8):
        run_all(server, units)
        if slots(server) == [shared_name(units[0].endpoint)]:
            return
    raise AssertionError(f"not one slot, but {slots(server)}")


def test_one_slot_and_one_publication_are_read_once_for_all_units(
    tmp_path: Path, pg: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with worlds(tmp_path, pg) as units:
        run_until_shared(pg, units)
        name = shared_name(units[0].endpoint)
        assert publications(pg) == [name]
        read, reads = log_parts.read_part, list[str]()

        def counted(*given: Any) -> Any:
            reads.append(given[1].name)
            return read(*given)

        monkeypatch.setattr(unit_slot, "read_part", counted)
        for at in range(
            2, 8
        ):  # one unit may be ahead of the others at first, by a record that the server writes for itself
            pg.run(f"BEGIN; INSERT INTO a VALUES ({at}, 'x'); INSERT INTO b VALUES ({at}, 'x'); DELETE FROM a; COMMIT")
            pg.run(f"UPDATE c SET name = 'c{at}'; TRUNCATE a, b; INSERT INTO b VALUES ({at}, 'after')")
            reads.clear()
            run_all(pg, units)
            if reads == [name]:
                break
        assert reads == [name]
        for world in units:
            assert_equal(world)


def test_a_run_ends_at_the_end_of_the_log_also_where_its_rounds_are_shorter_parts_of_another_unit(
    tmp_path: Path, pg: Postgres
) -> None:
    with worlds(tmp_path, pg, ("a", "b"), target_slice_bytes=SLICE_BYTES) as units:
        first, second = units
        run_until_shared(pg, units)
        text = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 250))"
        for number in range(10, 18):
            for at in range(3):  # 8 KiB each; a round has 128
                pg.run(f"INSERT INTO b VALUES ({10 * number + at}, {text})")
            first.run()
        second.run()
        assert_equal(second)


@contextmanager
def as_before(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each unit has a slot and a publication of its own, of one name."""

    def make(self: Any, session: Any, spec: UnitSpec, version: int) -> None:
        name, table = slot_name(spec), spec.dataset.name
        options = "publish_via_partition_root = true"
        postgres_session(session).change(f"CREATE PUBLICATION {name} FOR TABLE {table} WITH ({options})")
        create_slot(session, name, version)

    with patch.context() as old:
        old.setattr(change_log.PostgresLog, "_make_slot", make)
        old.setattr(change_log, "prepare_shared_slot", lambda *given: None)
        old.setattr(change_log, "advance_shared_slot", lambda *given: None)
        yield


def test_an_installation_with_a_slot_for_each_unit_goes_on_and_then_shares_one(
    tmp_path: Path, pg: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with worlds(tmp_path, pg) as units:
        with as_before(monkeypatch):
            run_all(pg, units)
        assert len(slots(pg)) == len(publications(pg)) == len(TABLES)
        open_one = pg.connect()  # began before the tables are published together
        pg.run("INSERT INTO a VALUES (2, 'long')", open_one)
        pg.run("INSERT INTO a VALUES (3, 'x'); INSERT INTO b VALUES (2, 'x')")
        run_all(pg, units)
        assert len(slots(pg)) >= len(TABLES)
        pg.run("INSERT INTO a VALUES (4, 'x'); UPDATE b SET name = 'y'")
        pg.run("INSERT INTO b VALUES (5, 'long')", open_one)
        open_one.commit()
        pg.run("INSERT INTO a VALUES (6, 'x'); DELETE FROM c")
        run_all(pg, units)
        for world in units:
            assert_equal(world)
        run_until_shared(pg, units)
        for world in units:
            assert_equal(world)
        assert publications(pg) == slots(pg)


def test_a_unit_that_is_not_run_gets_a_slot_of_its_own_and_comes_back(tmp_path: Path, pg: Postgres) -> None:
    with worlds(tmp_path, pg, ("a", "b"), target_slice_bytes=SLICE_BYTES) as (first, second):
        run_until_shared(pg, [first, second])
        pg.run("INSERT INTO b VALUES (2, 'missed by nobody')")
        for key in range(2, 7):
            pg.run(f"INSERT INTO a SELECT {key}, string_agg(md5(random()::text), '') FROM generate_series(1, {ROWS})")
            first.run()
        assert set(slots(pg)) == {shared_name(first.endpoint), slot_name(second.order().spec)}
        ((behind,),) = pg.run(
            "SELECT pg_wal_lsn_diff(max(confirmed_flush_lsn), min(confirmed_flush_lsn))::bigint FROM pg_replication_slots"
            " WHERE database = current_database()"
        )
        assert behind > SLICE_BYTES
        assert [one.state for one in (attempt(second), attempt(first))] == [RunState.SUCCEEDED] * 2
        run_until_shared(pg, [second, first])
        for world in (first, second):
            assert_equal(world)


def test_a_slot_that_may_lack_changes_of_a_table_is_not_taken_for_its_own(
    tmp_path: Path, pg: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with worlds(tmp_path, pg, ("a", "b")) as (shared, other):
        shared.run()
        with as_before(monkeypatch):
            other.run()
            pg.run("INSERT INTO b VALUES (2, 'not published for all')")
        pg.run(f"ALTER PUBLICATION {shared_name(shared.endpoint)} ADD TABLE b")
        pg.run(f"SELECT pg_drop_replication_slot('{slot_name(other.order().spec)}')")
        pg.run("INSERT INTO b VALUES (3, 'published')")
        failed = attempt(other)
        assert code_of(failed) == "E_LOG_GONE"
        assert failed.error is not None
        assert "does not have all changes of the table" in failed.error.message
        pass_running_transactions(pg)
        shared.run()
        assert code_of(attempt(other)) == "E_LOG_GONE"


def run_at_once(units: list[TableWorld]) -> list[RunSummary]:
    ended: list[RunSummary] = []

    def run_one(world: TableWorld) -> None:
        ended.append(attempt(world))

    threads = [threading.Thread(target=run_one, args=(world,)) for world in units]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return ended


def test_two_runs_at_once_take_turns_at_the_slot(tmp_path: Path, pg: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    with worlds(tmp_path, pg, ("a", "b")) as units:
        run_until_shared(pg, units)
        monkeypatch.setattr(unit_slot, "find_part", lambda *given: None)  # as two processes
        for key in range(2, 5):
            pg.run(f"INSERT INTO a VALUES ({key}, 'x'); INSERT INTO b VALUES ({key}, 'x')")
            ended = run_at_once(units)
            assert [(one.state, one.retries) for one in ended] == [(RunState.SUCCEEDED, 0)] * 2
        for world in units:
            assert_equal(world)


def test_a_log_that_is_dropped_holds_nothing_for_the_others(tmp_path: Path, pg: Postgres) -> None:
    pg.run("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)")
    workspace = Workspace(tmp_path)
    workspace.document["endpoints"] = [{"id": "shop", "template": "jdbc.postgres", "config": {"url": pg.url}}]
    unit = {"endpoint": "shop", "sink": "lake", "enabled": True, "run_mode": "CHANGES"}
    workspace.document["units"] = [unit | {"unit": "public.*"}]
    workspace.apply()
    installation = workspace.installation

    def run_once() -> list[str | None]:
        pass_running_transactions(pg)
        units = sorted(run(installation, "shop").units, key=lambda one: one.unit_id)
        return [one.error.code if one.error is not None else None for one in units]

    def run_until_one() -> str:
        for _ in range(12):
            assert run_once() == [None, None]
            if len(slots(pg)) == 1:
                break
        (name,) = slots(pg)
        return name

    try:
        collect(installation, "shop")
        name = run_until_one()
        dropped = drop_unit_log(installation, UnitRef("shop", "public.b"))
        assert dropped.dropped == (f"its part of replication slot {name}",)
        pg.run("INSERT INTO a VALUES (1)")
        before = pg.run("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE database = current_database()")
        assert run_once() == [None, "E_LOG_GONE"]
        after = pg.run("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE database = current_database()")
        assert before != after
        reset_state(installation.kv, unit_key("postgres", UnitRef("shop", "public.b"), "lake"))
        assert run_until_one() == name
        drop_unit_log(installation, UnitRef("shop", "public.b"))
        assert len(drop_unit_log(installation, UnitRef("shop", "public.a")).dropped) == 2
        assert (slots(pg), publications(pg)) == ([], [])
    finally:
        drop_slots(pg)
