"""Write modes, large ranges of keys, kills in the middle, stops, and losses that are drawn at random."""

import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_ray.engine.comparison import compare
from ingest_ray.run import VerifyOptions, verify_unit
from ingest_ray.sdk.errors import ConfigError, RunActive
from ingest_ray.sdk.key_sums import KeyRange, KeySum, differing_ranges
from ingest_ray.sdk.types import Endpoint, RunMode, RunState
from tests import forks
from tests.searches import examples
from tests.verify.table_world import TableWorld, counts, ids, sqlite_world

CREATE = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, at integer NOT NULL, note text)"


def numbers(folder: Path, rows: int = 200, **options: Any) -> TableWorld:
    world = sqlite_world(folder, CREATE, **options)
    values = ", ".join(f"({number}, {number}, 'note {number}')" for number in range(rows))
    world.execute(f"INSERT INTO t VALUES {values}")
    return world


def test_a_unit_that_was_not_loaded_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not loaded yet"):
        numbers(tmp_path).verify()


def test_a_replacement_is_repaired_by_loading_it_again(tmp_path: Path) -> None:
    world = numbers(tmp_path, mode=RunMode.FULL, policy={})
    world.run()
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)
    world.lake.delete("id < 3")
    world.execute("DELETE FROM t WHERE id = 100")
    world.execute("UPDATE t SET note = 'x' WHERE id = 101")
    found = world.verify(with_values=True)
    assert counts(found) == (3, 1, 1, 0)
    assert "follows no cursor" in found.notes[0]
    assert world.verify(with_values=True, repair=True).remaining == 0
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)


def test_an_append_table_gets_lost_rows_once_and_keeps_surplus_ones(tmp_path: Path) -> None:
    world = numbers(tmp_path, policy={"cursor": "at", "primary_key": ("id",), "write": "append"})
    world.run()
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)
    world.lake.delete("id in (5, 6)")
    world.execute("DELETE FROM t WHERE id = 100")
    assert counts(world.verify()) == (2, 1, 0, 0)
    repaired = world.verify(repair=True)
    assert (repaired.state, repaired.repaired, repaired.remaining) == (RunState.FAILED, 2, 1)
    assert any("never erased from" in note for note in repaired.notes)
    assert sorted(row["id"] for row in world.rows()) == list(range(199)), "the newest row waits for the next run"


def test_rows_that_an_append_table_has_are_not_appended_again(tmp_path: Path) -> None:
    """As after a repair that died between its commit and its end: the keys are listed, and the rows are there."""
    from ingest_ray.engine.readers.lost_rows import write_key_files
    from ingest_ray.run import launch
    from ingest_ray.sdk.location import Location

    world = numbers(tmp_path, policy={"cursor": "at", "primary_key": ("id",), "write": "append"})
    world.run()
    world.lake.delete("id = 5")
    import pyarrow as pa

    uri = str(tmp_path / "keys")
    write_key_files(Location(uri), [pa.record_batch({"id": pa.array([4, 5, 6], pa.int64())})])
    order = world.order().model_copy(update={"task": "repair", "keys_uri": uri})
    summary = launch([order], lambda progress: None, lambda: False)[0]
    assert (summary.state, summary.rows.committed) == (RunState.SUCCEEDED, 1)
    assert sorted(row["id"] for row in world.rows()) == list(range(199)), "the newest row waits for the next run"


def test_a_stopped_comparison_goes_on_after_its_last_block(tmp_path: Path) -> None:
    world = numbers(tmp_path, policy={"cursor": "at", "primary_key": ("id",), "target_slice_bytes": 64 * 1024})
    world.run()
    world.lake.delete("id = 7")
    seen: list[str] = []
    stopped = verify_unit(
        world.order(), VerifyOptions(with_values=True), lambda progress: seen.append(progress.step), lambda: bool(seen)
    )
    assert stopped.state is RunState.PAUSED
    resumed = world.verify(with_values=True)
    assert resumed.is_resumed
    assert (counts(resumed), ids(resumed.missing_keys)) == ((1, 0, 0, 0), [7])
    assert not world.verify().is_resumed


@pytest.mark.slow
@pytest.mark.parametrize("step", ["verify:before-block", "verify:after-block"])
def test_a_killed_comparison_goes_on(tmp_path: Path, step: str) -> None:
    world = numbers(tmp_path)
    world.run()
    world.lake.delete("id = 7")
    world.execute("DELETE FROM t WHERE id = 9")
    path = tmp_path / "order.json"
    path.write_text(world.order().model_dump_json())
    environment = os.environ | {"INGEST_FAILPOINT": step}
    done = forks.run_module("tests.verify.verify_process", str(path), env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    resumed = world.verify(with_values=True)
    assert resumed.is_resumed
    assert counts(resumed) == (1, 1, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    [
        "repair:before-erase",
        "repair:after-erase",
        "sink:after-commit",
        "state:after-intent",
        "reconcile:before-erase",
        "reconcile:after-erase",
    ],
)
def test_a_killed_repair_is_finished_by_the_next_one(tmp_path: Path, step: str) -> None:
    world = numbers(tmp_path)
    world.run()
    write_deltalake(world.lake, world.lake.to_pyarrow_table(filters=[("id", "in", [3, 4])]), mode="append")
    world.lake.delete("id in (7, 8)")
    world.execute("DELETE FROM t WHERE id = 9")
    path = tmp_path / "order.json"
    path.write_text(world.order().model_dump_json())
    environment = os.environ | {"INGEST_FAILPOINT": step}
    done = forks.run_module("tests.verify.verify_process", str(path), "repair", env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert world.verify(repair=True).state is RunState.SUCCEEDED
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)
    assert sorted(row["id"] for row in world.rows()) == [number for number in range(200) if number != 9]
    world.execute("INSERT INTO t VALUES (1000, 1000, 'new')")
    world.run()
    assert 1000 in {row["id"] for row in world.rows()}


@pytest.mark.slow
@pytest.mark.parametrize("deletes", ["tombstone", "delete"])
def test_doubled_rows_of_a_database_are_repaired(tmp_path: Path, deletes: str) -> None:
    sink = Endpoint(endpoint_id="lake", template="sql", config={"url": f"sqlite:///{tmp_path}/sink.db"})
    world = numbers(tmp_path, sink=sink, policy={"cursor": "at", "primary_key": ("id",), "deletes": deletes})
    world.run()
    with closing(sqlite3.connect(tmp_path / "sink.db")) as database, database:
        ((table,),) = database.execute("select target_table from _ingest_ledger")
        database.execute(f'insert into "{table}" select * from "{table}" where id in (3, 4)')
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 2)
    repaired = world.verify(repair=True)
    assert (repaired.state, repaired.repaired, repaired.remaining) == (RunState.SUCCEEDED, 2, 0)
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)
    with closing(sqlite3.connect(tmp_path / "sink.db")) as database:
        assert database.execute(f'select count(*), count(distinct id) from "{table}"').fetchone() == (200, 200)


@pytest.mark.slow
def test_the_keys_of_a_repair_that_was_killed_are_swept_by_a_later_run(tmp_path: Path) -> None:
    world = numbers(tmp_path)
    world.run()
    world.lake.delete("id in (7, 8)")
    path = tmp_path / "order.json"
    path.write_text(world.order().model_dump_json())
    environment = os.environ | {"INGEST_FAILPOINT": "sink:before-commit"}
    done = forks.run_module("tests.verify.verify_process", str(path), "repair", env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    repairs = tmp_path / "home" / "staging.repairs"
    (left,) = repairs.iterdir()
    world.execute("INSERT INTO t VALUES (1000, 1000, 'new')")
    world.run()
    assert left.exists(), "another process may have written it just now, before it takes its lease"
    for file in left.iterdir():
        os.utime(file, (1, 1))
    world.execute("INSERT INTO t VALUES (1001, 1001, 'new')")
    world.run()
    assert list(repairs.iterdir()) == []
    assert world.verify(repair=True).state is RunState.SUCCEEDED
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)
    assert list(repairs.iterdir()) == []


LOSSES = st.fixed_dictionaries(
    {
        "lost": st.sets(st.integers(0, 150), max_size=12),
        "gone": st.sets(st.integers(0, 150), max_size=8),
        "changed": st.sets(st.integers(0, 150), max_size=12),
        "late": st.sets(st.integers(300, 400), max_size=5),
        "new": st.sets(st.integers(500, 600), max_size=5),
    }
)


@pytest.mark.slow
@settings(max_examples=examples(short=3, long=12), deadline=None)
@given(losses=LOSSES, blocks=st.sampled_from([1, 7, 4096]))
def test_any_losses_are_found_and_repaired(
    tmp_path_factory: pytest.TempPathFactory, losses: dict[str, set[int]], blocks: int
) -> None:
    world = numbers(
        tmp_path_factory.mktemp("any"), policy={"cursor": "at", "primary_key": ("id",), "max_delete_fraction": 1}
    )
    world.run()
    lost, gone = losses["lost"], losses["gone"]
    changed = losses["changed"] - lost - gone
    if lost:
        world.lake.delete(f"id in ({', '.join(map(str, lost))})")
    for number in gone:
        world.execute(f"DELETE FROM t WHERE id = {number}")
    for number in changed:
        world.execute(f"UPDATE t SET note = 'changed' WHERE id = {number}")
    for number in losses["late"]:
        world.execute(f"INSERT INTO t VALUES ({number}, 3, 'late')")
    for number in losses["new"]:
        world.execute(f"INSERT INTO t VALUES ({number}, {number}, 'new')")
    missing = (lost - gone) | losses["late"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "SUM_BLOCKS", blocks)
        by_key = world.verify(limit=1000)
        assert (set(ids(by_key.missing_keys)), set(ids(by_key.surplus_keys))) == (missing, gone - lost)
        by_value = world.verify(with_values=True, limit=1000)
        assert set(ids(by_value.different_keys)) == changed
        assert counts(by_value) == (len(missing), len(gone - lost), len(changed), 0)
        world.verify(with_values=True, repair=True)
        assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)
        assert counts(world.verify()) == (0, 0, 0, 0)


def test_ranges_that_differ_are_joined_where_they_touch() -> None:
    keys = KeyRange(10, 50, 10)
    left = {0: KeySum(1, 1, 1), 1: KeySum(2, 2, 2), 3: KeySum(1, 1, 1)}
    right = {0: KeySum(1, 1, 2), 2: KeySum(1, 1, 1), 3: KeySum(1, 1, 1)}
    assert list(differing_ranges(keys, left, right)) == [(10, 40)]
    assert list(differing_ranges(keys, left, left)) == []


@pytest.mark.slow
def test_a_table_that_was_restored_from_an_earlier_copy_is_repaired(tmp_path: Path) -> None:
    world = numbers(tmp_path)
    world.run()
    shutil.copytree(tmp_path / "lake", tmp_path / "copy")
    world.execute("INSERT INTO t VALUES (500, 500, 'new'), (501, 501, 'new'), (502, 502, 'new')")
    world.run()
    shutil.rmtree(tmp_path / "lake")
    shutil.copytree(tmp_path / "copy", tmp_path / "lake")
    assert counts(world.verify()) == (2, 0, 0, 0), "502 is read in every run"
    assert world.verify(repair=True).remaining == 0
    world.execute("INSERT INTO t VALUES (600, 600, 'newer')")
    world.run()
    assert {500, 501, 502, 600} <= {row["id"] for row in world.rows()}
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)


def test_two_comparisons_of_a_unit_at_once_are_refused(tmp_path: Path) -> None:
    world = numbers(tmp_path)
    world.run()
    refusals: list[str] = []

    def compare_again(_: object) -> None:
        if not refusals:
            with pytest.raises(RunActive) as refused:
                world.verify()
            refusals.append(str(refused.value))

    assert verify_unit(world.order(), VerifyOptions(), compare_again).state is RunState.SUCCEEDED
    assert "another comparison" in refusals[0]
