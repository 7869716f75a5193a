"""A run that follows the log commits changes while it goes on, and ends when it is stopped."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest_ray.run import launch
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.testing.servers.mariadb import MariaDatabase
from ingest_ray.testing.servers.postgres import Postgres
from tests.changes.binlog_world import binlog_world, write
from tests.changes.log_world import assert_equal, log_world
from tests.verify.table_world import TableWorld

pytestmark = pytest.mark.slow


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, "not within a minute"
        time.sleep(0.05)


def follow(world: TableWorld, change: Callable[[int], None]) -> None:
    """Changes arrive one after the other while the run goes on, which ends when it is stopped."""
    stop, ended = threading.Event(), list[RunSummary]()
    order = world.order().model_copy(update={"follow_s": 0.1})
    thread = threading.Thread(target=lambda: ended.extend(launch([order], lambda progress: None, stop.is_set)))
    thread.start()
    log = world.folder / "lake" / "shop" / world.unit / "_delta_log"
    try:
        wait_for(lambda: log.exists() and len(world.rows()) == 1)
        for key in (2, 3):
            change(key)
            wait_for(lambda key=key: [row["id"] for row in world.rows()] == [key])  # type: ignore[misc]
    finally:
        stop.set()
        thread.join(60)
    assert ended[0].state in (RunState.SUCCEEDED, RunState.PAUSED)
    assert ended[0].rows.committed == 1 + 2 * 2
    assert_equal(world)


def test_changes_arrive_while_the_run_goes_on(tmp_path: Path, pg: Postgres) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'a')")
    with log_world(tmp_path, pg) as world:

        def change(key: int) -> None:
            pg.run(f"INSERT INTO t VALUES ({key}, 'b'); DELETE FROM t WHERE id = {key - 1}")

        follow(world, change)


def test_changes_of_mariadb_arrive_while_the_run_goes_on(tmp_path: Path, maria_log: MariaDatabase) -> None:
    maria_log.run("CREATE TABLE t (id int PRIMARY KEY, name text)")
    maria_log.run("INSERT INTO t VALUES (1, 'a')")

    def change(key: int) -> None:
        write(maria_log, "BEGIN", f"INSERT INTO t VALUES ({key}, 'b')", f"DELETE FROM t WHERE id = {key - 1}", "COMMIT")

    follow(binlog_world(tmp_path, maria_log), change)
