"""Losses of every kind that are planted between a table and its sink are found by key, repaired, and then gone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.types import RunState
from tests.verify.table_world import TableWorld, counts, ids, maria_world, postgres_world, sqlite_world

pytestmark = pytest.mark.slow
ROWS = 300
Make = Callable[..., TableWorld]


@pytest.fixture(params=["postgres", "mariadb", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    def world(**options: Any) -> TableWorld:
        if request.param == "postgres":
            made = postgres_world(tmp_path, request.getfixturevalue("pg"), **options)
        elif request.param == "mariadb":
            made = maria_world(tmp_path, request.getfixturevalue("maria"), **options)
        else:
            made = sqlite_world(tmp_path, **options)
        made.execute("CREATE TABLE t (id bigint NOT NULL PRIMARY KEY, at bigint NOT NULL, note varchar(40))")
        for start in range(0, ROWS, 100):
            values = ", ".join(f"({number}, {number}, 'note {number}')" for number in range(start, start + 100))
            made.execute(f"INSERT INTO t VALUES {values}")
        made.run()
        return made

    return world


def test_equal_tables_say_equal(make: Make) -> None:
    world = make()
    for options in ({}, {"with_values": True}):
        report = world.verify(**options)
        assert report.state is RunState.SUCCEEDED
        assert counts(report) == (0, 0, 0, 0)
        assert (report.rows_at_source, report.rows_in_sink) == (ROWS, ROWS)


def test_rows_that_the_sink_lost_are_found_and_read_again(make: Make) -> None:
    world = make()
    world.lake.delete("id in (7, 290) or (id >= 100 and id < 110)")
    found = world.verify(limit=3)
    assert found.state is RunState.FAILED
    assert found.error is not None
    assert found.error.code == "E_ROWS_DIFFER"
    assert (counts(found), ids(found.missing_keys)) == ((12, 0, 0, 0), [7, 100, 101])
    repaired = world.verify(repair=True)
    assert (repaired.state, repaired.repaired, repaired.remaining) == (RunState.SUCCEEDED, 12, 0)
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)
    assert sorted(row["id"] for row in world.rows()) == list(range(ROWS))


def test_a_row_that_was_committed_late_below_the_watermark_is_found(make: Make) -> None:
    """Section B: replicas, zones, counters and unseen transactions all end as a row below the watermark that was never read."""
    world = make()
    world.execute("INSERT INTO t VALUES (5000, 17, 'late')")
    assert world.run().rows.read <= 1, "the newest row is read in every run"
    found = world.verify()
    assert (counts(found), ids(found.missing_keys)) == ((1, 0, 0, 0), [5000])
    assert world.verify(repair=True).repaired == 1
    assert counts(world.verify()) == (0, 0, 0, 0)


def test_rows_that_changed_without_their_cursor_are_different(make: Make) -> None:
    world = make()
    world.execute("UPDATE t SET note = 'changed' WHERE id in (3, 4)")
    world.execute("UPDATE t SET note = NULL WHERE id = 5")
    assert counts(world.verify()) == (0, 0, 0, 0)
    found = world.verify(with_values=True)
    assert (counts(found), ids(found.different_keys)) == ((0, 0, 3, 0), [3, 4, 5])
    assert world.verify(with_values=True, repair=True).repaired == 3
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)
    assert {row["id"]: row["note"] for row in world.rows()}[4] == "changed"


def test_a_restored_row_with_an_older_cursor_replaces_the_newer_one(make: Make) -> None:
    world = make()
    world.execute("UPDATE t SET at = 1, note = 'from a backup' WHERE id = 200")
    world.run()
    assert world.verify(with_values=True, repair=True).repaired == 1
    assert {row["id"]: row["note"] for row in world.rows()}[200] == "from a backup"
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)


def test_deleted_rows_are_surplus_and_become_tombstones(make: Make) -> None:
    world = make()
    world.execute("DELETE FROM t WHERE id in (1, 299)")
    found = world.verify()
    assert (counts(found), ids(found.surplus_keys)) == ((0, 2, 0, 0), [1, 299])
    assert world.verify(repair=True).erased == 2
    assert counts(world.verify()) == (0, 0, 0, 0)
    assert len(world.rows()) == ROWS - 2


def test_more_deletes_than_the_policy_allows_need_consent(make: Make) -> None:
    world = make()
    world.execute("DELETE FROM t WHERE id >= 100")
    refused = world.verify(repair=True)
    assert refused.error is not None
    assert (refused.state, refused.error.code, refused.remaining) == (RunState.FAILED, "E_DELETES_REFUSED", 200)
    assert world.verify(repair=True, allow_deletes=True).erased == 200
    assert counts(world.verify()) == (0, 0, 0, 0)


def test_rows_of_a_later_run_are_no_differences(make: Make) -> None:
    world = make()
    world.execute("INSERT INTO t VALUES (7000, 900, 'new')")
    world.execute("UPDATE t SET at = 901, note = 'new' WHERE id = 9")
    found = world.verify(with_values=True)
    assert (found.state, counts(found), found.newer) == (RunState.SUCCEEDED, (0, 0, 0, 0), 2)
    world.run()
    assert world.verify(with_values=True).newer == 0


def test_doubled_rows_are_found_and_repaired(make: Make) -> None:
    world = make()
    rows = world.lake.to_pyarrow_table(filters=[("id", "in", [3, 4])])
    from deltalake import write_deltalake

    write_deltalake(world.lake, rows, mode="append")
    found = world.verify()
    assert (counts(found), ids(found.doubled_keys)) == ((0, 0, 0, 2), [3, 4])
    repaired = world.verify(repair=True, with_values=True)
    assert (repaired.state, repaired.repaired, repaired.remaining) == (RunState.SUCCEEDED, 2, 0)
    assert counts(world.verify(with_values=True)) == (0, 0, 0, 0)
