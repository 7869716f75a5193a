"""Section C of the conformance list for SQLite. Other writers are other processes: two copies of the library in one process
would not see each other's locks."""

import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.servers.postgres import SqliteMaker
from ingest_strategies.jdbc.sqlite.horizon import has_writer

CREATE = "CREATE TABLE t (id integer PRIMARY KEY, v text, ts {0})"


def write(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def source_rows(path: Path) -> dict[int, str]:
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT id, v FROM t"))


def sink_rows(rehearsal: Rehearsal) -> dict[int, str]:
    return {row["id"]: row["v"] for row in rehearsal.sink.values()}


class Writer:
    """Another process with a transaction, which opens, fills and commits it on command."""

    CODE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN IMMEDIATE")
for line in sys.stdin:
    connection.execute(line)
    print("done", flush=True)
"""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.CODE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, sql: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(sql + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture
def table(sqlite_file: SqliteMaker) -> Path:
    return sqlite_file(CREATE.format("text DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now'))"))


STAMPS = {
    "text": "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '{0} seconds')",
    "datetime": "datetime('now', '{0} seconds')",
    "timestamp": "strftime('%Y-%m-%d %H:%M:%f', 'now', '{0} seconds')",
    "integer": "CAST(strftime('%s', 'now', '{0} seconds') AS integer) * 1000 + id",
    "real": "julianday('now', '{0} seconds') + id * 1e-6",
}


@pytest.mark.parametrize("kind", STAMPS)
@pytest.mark.parametrize("how", ["upsert", "append"])
def test_c29_a_load_then_changes_have_neither_gap_nor_double(
    kind: str, how: str, sqlite_file: SqliteMaker, lite_unit: Any
) -> None:
    path = sqlite_file(CREATE.format(kind))

    def insert(first: int, last: int, seconds: int) -> None:
        write(path, _series(first, last))
        write(path, f"UPDATE t SET ts = {STAMPS[kind].format(seconds)} WHERE id BETWEEN {first} AND {last}")

    insert(1, 50, -100)
    rehearsal = lite_unit(path, "t", cursor="ts", write=how)
    rehearsal.run()
    insert(51, 80, -50)
    rehearsal.run()
    insert(81, 81, -20)
    rehearsal.run()
    insert(82, 82, -10)
    rehearsal.run()
    if how == "append":
        assert max(Counter(row["id"] for row in rehearsal.appended).values()) == 1
        assert set(sink_rows(rehearsal)) >= set(range(1, 82))
    else:
        assert sink_rows(rehearsal) == source_rows(path)
    if kind not in ("integer", "real"):
        assert set(sink_rows(rehearsal)) == set(range(1, 83))
        rehearsal.run()
        assert rehearsal.outcome.slices == []


def _series(first: int, last: int) -> str:
    return (
        f"WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})"
        " INSERT INTO t (id, v) SELECT i, 'v' || i FROM n"
    )


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("how", ["upsert", "append"])
def test_c21_a_transaction_open_across_two_runs_is_found(journal: str, how: str, table: Path, lite_unit: Any) -> None:
    write(table, f"PRAGMA journal_mode = {journal}")
    write(table, _series(1, 20))
    rehearsal = lite_unit(table, "t", cursor="ts", write=how)
    rehearsal.run()
    writer = Writer(table)
    writer.run("INSERT INTO t (id, v) VALUES (21, 'late')")
    rehearsal.run()
    assert rehearsal.outcome.probe is not None
    assert rehearsal.outcome.probe.horizon is not None
    assert "while a transaction is open" in rehearsal.outcome.probe.horizon.method
    writer.run("COMMIT")
    writer.close()
    write(table, _series(22, 30))
    rehearsal.run()
    rehearsal.run()
    assert sink_rows(rehearsal) == source_rows(table)
    assert 21 in sink_rows(rehearsal)
    if how == "append":
        assert max(Counter(row["id"] for row in rehearsal.appended).values()) == 1
    rehearsal.run()
    assert rehearsal.outcome.slices == []


def test_c21_a_transaction_open_before_the_first_load_is_found(table: Path, lite_unit: Any) -> None:
    writer = Writer(table)
    writer.run("INSERT INTO t (id, v) VALUES (1, 'late')")
    rehearsal = lite_unit(table, "t", cursor="ts", write="append")
    rehearsal.run()
    assert rehearsal.appended == []
    writer.run("COMMIT")
    writer.close()
    write(table, _series(2, 9))
    rehearsal.run()
    rehearsal.run()  # rows of the millisecond in which the run before began are left to this one
    assert Counter(row["id"] for row in rehearsal.appended) == Counter(range(1, 10))


def test_units_that_are_planned_side_by_side_do_not_take_one_another_for_writers(table: Path, lite_unit: Any) -> None:
    """Each tests the write lock by holding it for a moment: the newest row of the others waited for a later run then."""
    spec = lite_unit(table, "t", cursor="id").spec
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: has_writer(spec), range(200)))
    assert Counter(found) == {False: 200}


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_c21_a_transaction_that_ends_while_its_lock_is_waited_for_is_read_whole(
    journal: str, table: Path, lite_unit: Any
) -> None:
    write(table, f"PRAGMA journal_mode = {journal}")
    rehearsal = lite_unit(table, "t", cursor="ts", write="append")
    for first in (1, 11, 21):
        writer = Writer(table)
        writer.run(_series(first, first + 9))
        committed = threading.Timer(0.1, writer.run, ["COMMIT"])
        committed.start()
        rehearsal.run()
        committed.join()
        writer.close()
    rehearsal.run()
    rehearsal.run()
    assert Counter(row["id"] for row in rehearsal.appended) == Counter(range(1, 31))


def test_c26_an_application_behind_utc_loses_no_row(sqlite_file: SqliteMaker, lite_unit: Any) -> None:
    path = sqlite_file(CREATE.format("datetime"))
    write(path, _series(1, 10), "UPDATE t SET ts = datetime('now', '-7 hours', '-1 minute')")
    rehearsal = lite_unit(path, "t", cursor="ts")
    rehearsal.run()
    write(path, _series(11, 20), "UPDATE t SET ts = datetime('now', '-7 hours') WHERE id > 10")
    rehearsal.run()
    assert sink_rows(rehearsal) == source_rows(path)


def test_c27_future_rows_move_nothing(table: Path, lite_unit: Any) -> None:
    write(table, _series(1, 10), "INSERT INTO t VALUES (99, 'future', '2999-01-01 00:00:00.000')")
    rehearsal = lite_unit(table, "t", cursor="ts")
    rehearsal.run()
    write(table, _series(11, 20))
    rehearsal.run()
    assert sink_rows(rehearsal) == source_rows(table)
    watermark = rehearsal.states["all"].watermark
    assert watermark is not None
    assert str(watermark[0]) < "2900"


def test_c22_a_lookback_over_text(table: Path, lite_unit: Any) -> None:
    write(table, _series(1, 10))
    rehearsal = lite_unit(table, "t", cursor="ts", lookback="10m")
    rehearsal.run()
    write(table, "INSERT INTO t VALUES (11, 'late', strftime('%Y-%m-%d %H:%M:%f', 'now', '-9 minutes'))")
    write(table, "INSERT INTO t VALUES (12, 'too late', strftime('%Y-%m-%d %H:%M:%f', 'now', '-11 minutes'))")
    rehearsal.run()
    assert sorted(sink_rows(rehearsal)) == list(range(1, 12))


def test_c22_a_lookback_over_text_that_is_no_time_is_refused(sqlite_file: SqliteMaker, lite_unit: Any) -> None:
    path = sqlite_file(CREATE.format("text"), "INSERT INTO t VALUES (1, 'a', 'abc')")
    rehearsal = lite_unit(path, "t", cursor="ts", lookback="10m")
    rehearsal.run()
    with pytest.raises(ConfigError, match="lookback"):
        rehearsal.run()


def test_c24_null_cursors(sqlite_file: SqliteMaker, lite_unit: Any) -> None:
    path = sqlite_file(
        CREATE.format("datetime"), _series(1, 30), "UPDATE t SET ts = datetime('now', '-1 minute') WHERE id % 3 = 0"
    )
    for policy, expected in [("include", 30), ("exclude", 10)]:
        for how in ("upsert", "append"):
            rehearsal = lite_unit(path, "t", cursor="ts", cursor_nulls=policy, write=how)
            rehearsal.run()
            assert len(rehearsal.appended) == expected
    with pytest.raises(ConfigError, match="NULL in 20 rows"):
        lite_unit(path, "t", cursor="ts", cursor_nulls="raise").run()


def test_a_cursor_of_several_kinds_has_no_order(sqlite_file: SqliteMaker, lite_unit: Any) -> None:
    path = sqlite_file(CREATE.format("datetime"), "INSERT INTO t VALUES (1, 'a', 1700000000), (2, 'b', '2026-01-01')")
    with pytest.raises(ConfigError, match="several kinds"):
        lite_unit(path, "t", cursor="ts").run()


def test_b11_a_cursor_is_compared_byte_by_byte(sqlite_file: SqliteMaker, lite_unit: Any) -> None:
    path = sqlite_file(
        CREATE.format("text COLLATE NOCASE"), "INSERT INTO t VALUES (1, 'a', 'a'), (2, 'b', 'B'), (3, 'c', 'C')"
    )
    rehearsal = lite_unit(path, "t", cursor="ts", rows_per_slice=1)
    rehearsal.run()
    write(path, "INSERT INTO t VALUES (4, 'd', 'b')")
    rehearsal.run()
    assert sink_rows(rehearsal) == source_rows(path)
