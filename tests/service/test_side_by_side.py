"""Units of one launch run side by side: each exactly once, whatever the others do, and whenever the process dies."""

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.catalog import run_records
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunState
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs import launch
from ingest_ray.service.runs.execution import LaunchWatch, run
from tests.forks import run_code
from tests.service.workspace import Workspace

TABLES = 10


@pytest.fixture
def shop(workspace: Workspace) -> Workspace:
    """Small tables in a SQLite file, and a lake."""
    file = workspace.folder / "shop.db"
    connection = sqlite3.connect(file)
    for n in range(TABLES):
        connection.execute(f"CREATE TABLE t{n:02} (id INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany(f"INSERT INTO t{n:02} VALUES (?, ?)", [(i, f"row {i}") for i in range(n + 1)])
    connection.commit()
    connection.close()
    workspace.document["endpoints"] = [{"id": "shop", "template": "jdbc.sqlite", "config": {"path": str(file)}}]
    workspace.apply()
    collect(workspace.installation, "shop")
    return workspace


def sqlite_sink(workspace: Workspace) -> Path:
    workspace.document["sinks"] = [{"id": "lake", "template": "sql", "config": {"url": "sqlite:///out.db"}}]
    workspace.apply()
    return workspace.folder / "out.db"


def counts(file: Path) -> dict[str, int]:
    connection = sqlite3.connect(file)
    names = [
        row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 't__'")
    ]
    found = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
    connection.close()
    return found


ALL_ROWS = {f"t{n:02}": n + 1 for n in range(TABLES)}


def test_tables_run_side_by_side_into_one_file(shop: Workspace) -> None:
    out = sqlite_sink(shop)
    threads: set[str] = set()
    report = run(shop.installation, "shop", parallel=4, observe=lambda _: threads.add(threading.current_thread().name))
    assert report.state is RunState.SUCCEEDED
    assert [unit.unit_id for unit in report.units] == sorted(ALL_ROWS)
    assert {unit.unit_id: unit.rows.committed for unit in report.units} == ALL_ROWS
    assert counts(out) == ALL_ROWS
    assert len(threads) > 1
    with shop.installation.catalog.read() as connection:
        assert run_records.running(connection, "shop") == []


def test_one_failing_unit_does_not_end_the_others(shop: Workspace) -> None:
    connection = sqlite3.connect(shop.folder / "shop.db")
    connection.execute("DROP TABLE t07")
    connection.close()
    report = run(shop.installation, "shop", parallel=4)
    states = {unit.unit_id: unit.state for unit in report.units}
    assert states.pop("t07") is RunState.FAILED
    assert set(states.values()) == {RunState.SUCCEEDED}


@pytest.mark.slow
def test_a_stop_ends_all_and_the_rest_is_paused(shop: Workspace) -> None:
    stop = threading.Event()

    class StopAfterThree(LaunchWatch):
        ended = 0

        def end(self, summary: Any) -> None:
            self.ended += 1
            if self.ended == 3:
                stop.set()

    watch = StopAfterThree()
    report = run(shop.installation, "shop", parallel=3, is_stopping=stop.is_set, watch=watch)
    assert report.state is RunState.PAUSED
    states = [unit.state for unit in report.units]
    assert states.count(RunState.SUCCEEDED) >= 3
    assert states.count(RunState.PAUSED) >= TABLES - 6
    assert watch.ended == TABLES
    again = run(shop.installation, "shop", parallel=3)
    assert again.state is RunState.SUCCEEDED
    assert {name: shop.rows(name) for name in ALL_ROWS} == ALL_ROWS


def test_an_error_of_the_launch_itself_ends_every_record(shop: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from ingest_ray.sdk.errors import StateUnavailable

    def broken(*_: object) -> Any:
        raise StateUnavailable("the state is away")

    monkeypatch.setattr(launch, "run_unit", broken)
    report = run(shop.installation, "shop", parallel=3)
    assert {unit.state for unit in report.units} == {RunState.FAILED}
    with shop.installation.catalog.read() as connection:
        assert run_records.running(connection, "shop") == []


RUN = """
import sys
from pathlib import Path
from ingest_ray.config import load_config
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.execution import run
print(run(Installation(load_config(Path(sys.argv[1])).settings), "shop", parallel=3).state)
"""


@pytest.mark.slow
def test_a_launch_that_is_killed_anywhere_is_completed_exactly(shop: Workspace) -> None:
    """Appends: a row that is written twice would be seen."""
    shop.document["units"] = [
        {"endpoint": "shop", "unit": "*", "sink": "lake", "enabled": True, "run_mode": "INCREMENTAL"}
        | {"policy": {"cursor": "id", "write": "append", "lag": 0}}
    ]
    out = sqlite_sink(shop)
    for least in (2, 7):
        child = subprocess.Popen([sys.executable, "-c", RUN, str(shop.file)], stdout=subprocess.PIPE)
        while child.poll() is None and (not out.exists() or sum(count > 0 for count in counts(out).values()) < least):
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.communicate()
    done = run_code(RUN, str(shop.file))
    assert done.stdout.split() == ["SUCCEEDED"], done.stderr
    assert {name: count for name, count in counts(out).items() if count != ALL_ROWS[name]} == {}
    with shop.installation.catalog.read() as connection:
        assert run_records.running(connection, "shop") == []
        assert run_records.recent(connection, UnitRef("shop", "t05"))[0].summary.state is RunState.SUCCEEDED


@pytest.mark.parametrize(("cap", "cores", "expected"), [(None, 8, 3), (4, 8, 2), (2, 8, 1), (3, 8, 1), (None, 1, 1)])
def test_as_many_units_as_cores_and_connections_allow(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch, cap: int | None, cores: int, expected: int
) -> None:
    from ingest_ray.service.runs import parallel
    from ingest_ray.service.runs.admission import admit

    shop.document["units"][0]["policy"] = {"max_connections": cap} if cap else {}
    shop.apply()
    monkeypatch.setattr(parallel, "_cores", lambda: cores)
    orders = admit(shop.installation, "shop", ["t00", "t01", "t02"])
    assert parallel.parallel_units(orders, None) == expected
    shared = [parallel.with_connection_share(order, 2) for order in orders]
    assert {order.spec.policy.max_parallel for order in shared} == ({max(1, cap // 2 - 1)} if cap else {None})


@pytest.mark.slow
def test_units_with_a_cap_of_connections_run_side_by_side(shop: Workspace) -> None:
    shop.document["units"][0]["policy"] = {"max_connections": 4}
    shop.apply()
    assert run(shop.installation, "shop", parallel=8).state is RunState.SUCCEEDED


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["duckdb", *(pytest.param(kind, marks=pytest.mark.services) for kind in ("postgres", "mariadb"))]
)
def test_units_create_and_fill_their_tables_in_one_database_at_once(
    shop: Workspace, kind: str, request: pytest.FixtureRequest
) -> None:
    if kind == "duckdb":
        sink = {"template": "duckdb", "config": {"path": "./out.duckdb"}}
    else:
        server = request.getfixturevalue("pg" if kind == "postgres" else "maria")
        sink = {"template": "sql", "config": {"url": server.url}}
    shop.document["sinks"] = [{"id": "lake", **sink}]
    shop.apply()
    for _ in range(2):
        report = run(shop.installation, "shop", parallel=4)
        assert [(unit.unit_id, unit.error) for unit in report.units if unit.error] == []
        assert {unit.unit_id: unit.rows.committed for unit in report.units} == ALL_ROWS
