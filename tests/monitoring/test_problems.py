"""What is wrong now: each kind of problem is there once, with what to do, and is gone when it is mended."""

import sqlite3
from pathlib import Path

import pytest

from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.installation import Installation
from ingest_ray.service.monitoring.problems import read_situation
from ingest_ray.service.runs.execution import run
from ingest_ray.service.runs.history import list_live_runs
from ingest_ray.service.runs.schedule_views import list_next_runs
from ingest_ray.service.runs.verification import verify
from ingest_ray.service.units.configure import UnitChange, configure
from tests.service.workspace import Workspace


@pytest.fixture
def installation(workspace: Workspace) -> Installation:
    execute(workspace.folder, *(f"CREATE TABLE {name} (id integer PRIMARY KEY, at timestamp)" for name in "abcd"))
    execute(workspace.folder, *(f"INSERT INTO {name} VALUES (1, '2026-01-01'), (2, '2026-01-02')" for name in "abcd"))
    workspace.document["endpoints"] = [
        {"id": "db", "template": "jdbc.sqlite", "config": {"path": str(workspace.folder / "shop.db")}}
    ]
    workspace.document["units"] = [
        {"endpoint": "db", "unit": "*", "sink": "lake", "enabled": True, "run_mode": "INCREMENTAL"}
        | {"policy": {"cursor": "at"}, "schedule_minutes": 60}
    ]
    workspace.apply()
    collect(workspace.installation, "db")
    run(workspace.installation, "db")
    return workspace.installation


def execute(folder: Path, *statements: str) -> None:
    with sqlite3.connect(folder / "shop.db") as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def found(installation: Installation) -> list[tuple[str, str, str | None]]:
    return [(problem.unit_id, problem.what, problem.code) for problem in read_situation(installation).problems]


@pytest.mark.slow
def test_every_kind_of_problem_is_found_and_goes_when_it_is_mended(
    workspace: Workspace, installation: Installation
) -> None:
    assert found(installation) == []
    execute(workspace.folder, "DROP TABLE a", "DELETE FROM b WHERE id = 2", "ALTER TABLE c DROP COLUMN at")
    collect(installation, "db")
    verify(installation, "db", ["b"])
    configure(installation, UnitRef("db", "d"), UnitChange(policy={"cursor": "at", "fresh_within": "1s"}))
    with installation.catalog.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE ingest_unit_totals SET success_started_at = '2026-01-01T00:00:00+00:00' WHERE unit_id = 'd'"
        )
    problems = {problem.unit_id: problem for problem in read_situation(installation).problems}
    assert {name: problem.what for name, problem in problems.items()} == {
        "a": "gone",
        "b": "differs",
        "c": "cannot run",
        "d": "late",
    }
    assert problems["b"].code == "E_ROWS_DIFFER"
    assert problems["b"].run_id is not None
    assert "2026-01-01" in problems["d"].message
    assert problems["c"].hint
    assert read_situation(installation, within={"other"}).problems == ()
    execute(workspace.folder, "INSERT INTO b VALUES (2, '2026-01-02')")
    verify(installation, "db", ["b"])
    configure(installation, UnitRef("db", "a"), UnitChange(enabled=False))
    run(installation, "db", ["d"])
    configure(installation, UnitRef("db", "d"), UnitChange(policy={"cursor": "at", "fresh_within": "1h"}))
    assert [name for name, _, _ in found(installation)] == ["c"]


def test_next_runs_are_in_order_and_nothing_runs(workspace: Workspace, installation: Installation) -> None:
    following = list_next_runs(installation)
    times = [run.next_due_at for run in following]
    assert len(times) == 4
    assert all(time is not None for time in times)
    assert times == sorted(times, key=lambda time: time or 0)
    assert list_next_runs(installation, within={"other"}) == []
    assert list_live_runs(installation) == []
