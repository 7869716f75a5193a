"""Histories end to end: runs, deletes, comparison and repair, and runs that are killed at any step."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable

from ingest_ray.run import reconcile_unit
from ingest_ray.sdk.types import Endpoint, RunMode, RunState
from tests.run.installation import Installation
from tests.run.test_killed import killed_at
from tests.verify.table_world import TableWorld, counts, sqlite_world

pytestmark = pytest.mark.slow

CREATE = "CREATE TABLE t (id integer PRIMARY KEY, at integer NOT NULL, note text); INSERT INTO t VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 1, 'c')"
POLICY = {"cursor": "at", "write": "history", "max_delete_fraction": 1}
SINKS = {
    "delta": ("lake.delta", {"uri": "{}/lake"}),
    "iceberg": ("lake.iceberg", {"warehouse": "{}/ice"}),
    "sqlite": ("sql", {"url": "sqlite:///{}/sink.db"}),
    "duckdb": ("duckdb", {"path": "{}/sink.duckdb"}),
}


def history_world(folder: Path, sink: str = "delta", **options: Any) -> TableWorld:
    template, config = SINKS[sink]
    endpoint = Endpoint(
        endpoint_id="lake", template=template, config={name: text.format(folder) for name, text in config.items()}
    )
    return sqlite_world(folder, CREATE, sink=endpoint, policy=options.pop("policy", POLICY), **options)


def rows_of(world: TableWorld) -> list[tuple[Any, ...]]:
    """Key, cursor, text, whether the row is current, and whether its key was deleted."""
    assert world.sink is not None
    query = 'select id, "at", note, _is_current, _deleted_at is not null from {} order by id, _valid_from'
    connection = duckdb.connect(str(world.folder / "sink.duckdb"))
    if world.sink.template == "lake.delta":
        connection.register("found", world.lake.to_pyarrow_table())
        query = query.format("found")
    elif world.sink.template == "lake.iceberg":
        from pyiceberg.catalog import load_catalog

        catalog = load_catalog("ingest", type="sql", uri=f"sqlite:///{world.folder}/ice/catalog.db")
        connection.register("found", catalog.load_table("shop.t").scan().to_arrow())
        query = query.format("found")
    elif world.sink.template == "sql":
        with closing(sqlite3.connect(world.folder / "sink.db")) as file:
            return [(*row[:3], bool(row[3]), bool(row[4])) for row in file.execute(query.format("t")).fetchall()]
    found = connection.execute(query.format("t")).fetchall()
    connection.close()
    return [(key, at, note, bool(int(current)), bool(gone)) for key, at, note, current, gone in found]


@pytest.mark.parametrize("sink", ["delta", "iceberg", "sqlite", pytest.param("duckdb", marks=pytest.mark.faults)])
def test_changes_and_deletes_of_several_runs_are_one_history(tmp_path: Path, sink: str) -> None:
    world = history_world(tmp_path, sink)
    world.run()
    world.execute("UPDATE t SET at = 2, note = 'a2' WHERE id = 1")
    world.run()
    world.run()
    world.execute("DELETE FROM t WHERE id = 2")
    assert reconcile_unit(world.order()).erased == 1
    assert reconcile_unit(world.order()).erased == 0
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)
    world.execute("INSERT INTO t VALUES (2, 5, 'again')")
    world.execute("UPDATE t SET at = 6, note = NULL WHERE id = 1")
    world.run()
    assert rows_of(world) == [
        (1, 1, "a", False, False),
        (1, 2, "a2", False, False),
        (1, 6, None, True, False),
        (2, 1, "b", False, True),
        (2, 5, "again", True, False),
        (3, 1, "c", True, False),
    ]
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)


def test_a_full_refresh_adds_what_changed_and_no_row_twice(tmp_path: Path) -> None:
    world = history_world(tmp_path, mode=RunMode.FULL, policy={"write": "history"})
    world.run()
    world.execute("UPDATE t SET note = 'a2' WHERE id = 1")
    for _ in range(2):
        world.run()
    assert rows_of(world) == [
        (1, 1, "a", False, False),
        (1, 1, "a2", True, False),
        (2, 1, "b", True, False),
        (3, 1, "c", True, False),
    ]


def test_verify_finds_and_repairs_what_differs_from_the_current_rows(tmp_path: Path) -> None:
    world = history_world(tmp_path)
    world.run()
    world.execute("UPDATE t SET at = 2, note = 'a2' WHERE id = 1")
    world.execute("INSERT INTO t VALUES (4, 9, 'd')")
    world.run()
    world.lake.delete("id = 3")
    DeltaTable(world.lake.table_uri).update({"note": "'wrong'"}, predicate="id = 1 AND _is_current")
    world.execute("DELETE FROM t WHERE id = 2")
    assert counts(world.verify(with_values=True)) == (1, 1, 1, 0)
    assert world.verify(with_values=True, repair=True).remaining == 0
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)
    current = [row[:3] for row in rows_of(world) if row[3]]
    assert current == [(1, 2, "a2"), (3, 1, "c"), (4, 9, "d")]
    assert [row[:3] for row in rows_of(world) if not row[3]] == [(1, 1, "a"), (1, 2, "wrong"), (2, 1, "b")]


@pytest.mark.parametrize(
    "step",
    [
        "sink:in-commit",
        "sink:after-commit",
        *(pytest.param(step, marks=pytest.mark.faults) for step in ("read:after-stage", "sink:before-commit")),
        pytest.param("state:before-clear", marks=pytest.mark.faults),
    ],
)
def test_a_history_is_the_same_whenever_its_runs_are_killed(tmp_path: Path, step: str) -> None:
    there = Installation(tmp_path, policy={"cursor": "at", "write": "history", "target_slice_bytes": 65536})
    there.run()
    there.source = {"now": 2000, "changed": {str(key): 1500 for key in range(0, 2000, 3)}}
    killed_at(there, step)
    assert there.run().state is RunState.SUCCEEDED
    assert there.run().state is RunState.SUCCEEDED
    rows = there.lake().select(["id", "at", "_is_current"]).to_pylist()
    found = Counter((row["id"], row["at"], row["_is_current"]) for row in rows)
    changed = range(0, 2000, 3)
    expected = Counter((key, 0, key not in changed) for key in range(2000)) + Counter(
        (key, 1500, True) for key in changed
    )
    assert found == expected
