"""The binary log as a unit finds it: purged, begun anew, with statements in it, with transactions that are taken back or prepared."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest_ray.run import launch
from ingest_ray.sdk.errors import ConfigError, ModeUnsupported, SourceDenied
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.testing.servers.mariadb import MariaDatabase
from ingest_strategies.jdbc.mysql.changes.change_log import MysqlLog
from ingest_strategies.jdbc.mysql.changes.positions import LogPosition
from ingest_strategies.jdbc.mysql.dialect import Mysql
from tests.changes.binlog_world import binlog_world, write
from tests.changes.log_world import assert_equal, known_of, log_of
from tests.verify.table_world import TableWorld

pytestmark = pytest.mark.slow
CREATE = "CREATE TABLE t (id int PRIMARY KEY, name varchar(20), big text)"


def attempt(world: TableWorld) -> RunSummary:
    return launch([world.order()], lambda progress: None, lambda: False)[0]


def refused(world: TableWorld, code: str, part: str) -> None:
    summary = attempt(world)
    assert summary.state is RunState.FAILED
    assert summary.error is not None
    assert (summary.error.code, part in summary.error.message) == (code, True), summary.error


@contextmanager
def setting(server: MariaDatabase, name: str, value: str) -> Iterator[None]:
    (found,) = server.run(f"SELECT @@global.{name} AS v")
    server.run(f"SET GLOBAL {name} = {value}")
    try:
        yield
    finally:
        server.run(
            f"SET GLOBAL {name} = '{found['v']}'"
            if isinstance(found["v"], str)
            else f"SET GLOBAL {name} = {found['v']}"
        )


@pytest.fixture
def world(tmp_path: Path, maria_log: MariaDatabase) -> TableWorld:
    maria_log.run(CREATE)
    maria_log.run("INSERT INTO t SELECT seq, 'n', repeat('b', 100) FROM seq_1_to_5")
    made = binlog_world(tmp_path, maria_log)
    made.run()
    return made


def test_a_purged_log_is_an_error_and_never_a_gap(world: TableWorld, maria_log: MariaDatabase) -> None:
    write(maria_log, "FLUSH BINARY LOGS", "CREATE TABLE other (id int)", "FLUSH BINARY LOGS")
    purge(maria_log)
    refused(world, "E_LOG_GONE", "the log is gone from")


def purge(server: MariaDatabase) -> None:
    """All files but the one that is being written; the server keeps a file for a moment that it still needs for a recovery."""
    newest = server.run("SHOW MASTER STATUS")[0]["File"]
    deadline = time.monotonic() + 60
    while [row["Log_name"] for row in server.run("SHOW BINARY LOGS")] != [newest]:
        assert time.monotonic() < deadline, "not within a minute"
        write(server, f"PURGE BINARY LOGS TO '{newest}'")
        time.sleep(0.05)


def test_a_purged_log_of_which_nothing_is_missing_goes_on(world: TableWorld, maria_log: MariaDatabase) -> None:
    world.run()
    write(maria_log, "FLUSH BINARY LOGS", "FLUSH BINARY LOGS")
    purge(maria_log)
    maria_log.run("INSERT INTO t VALUES (9, 'after', NULL)")
    world.run()
    assert_equal(world)


def test_a_log_that_was_begun_anew_is_an_error(world: TableWorld, maria_log: MariaDatabase) -> None:
    write(maria_log, "RESET MASTER", *["UPDATE t SET id = id + 100"] * 30)
    refused(world, "E_LOG_GONE", "began a new log")


def test_a_statement_in_the_log_is_an_error(world: TableWorld, maria_log: MariaDatabase) -> None:
    write(maria_log, "SET SESSION binlog_format = STATEMENT", "UPDATE t SET name = 's' WHERE id = 2")
    refused(world, "E_LOG_GONE", "UPDATE t SET name")


def test_a_statement_that_writes_by_a_trigger_is_an_error(world: TableWorld, maria_log: MariaDatabase) -> None:
    write(
        maria_log,
        "CREATE TABLE o (id int)",
        "CREATE TRIGGER w AFTER INSERT ON o FOR EACH ROW UPDATE t SET name = 'w'",
        "SET SESSION binlog_format = STATEMENT",
        "INSERT INTO o VALUES (1)",
    )
    refused(world, "E_LOG_GONE", "INSERT INTO o")


def test_what_was_taken_back_is_not_applied(world: TableWorld, maria_log: MariaDatabase) -> None:
    write(
        maria_log,
        "CREATE TABLE plain (id int) ENGINE=MyISAM",
        "BEGIN",
        "INSERT INTO t VALUES (10, 'kept', NULL)",
        "SAVEPOINT a",
        "DELETE FROM t WHERE id = 1",
        "INSERT INTO plain VALUES (1)",
        "ROLLBACK TO a",
        "COMMIT",
        "BEGIN",
        "INSERT INTO t VALUES (11, 'lost', NULL)",
        "INSERT INTO plain VALUES (2)",
        "ROLLBACK",
    )
    world.run()
    assert_equal(world)


def test_prepared_transactions_count_at_their_commit(world: TableWorld, maria_log: MariaDatabase) -> None:
    for name, key in (("a", 20), ("b", 30)):
        write(
            maria_log,
            f"XA START '{name}'",
            f"INSERT INTO t VALUES ({key}, 'xa', NULL)",
            f"XA END '{name}'",
            f"XA PREPARE '{name}'",
        )
    maria_log.run("UPDATE t SET name = 'before' WHERE id = 1")
    world.run()
    assert_equal(world)
    write(
        maria_log, "FLUSH BINARY LOGS", "XA COMMIT 'a'", "XA ROLLBACK 'b'", "UPDATE t SET name = 'after' WHERE id = 20"
    )
    world.run()
    assert_equal(world)
    assert 20 in [row["id"] for row in world.rows()]


def test_rows_without_all_columns_are_applied_or_refused(world: TableWorld, maria_log: MariaDatabase) -> None:
    write(
        maria_log,
        "SET SESSION binlog_row_image = MINIMAL",
        "UPDATE t SET name = 'small' WHERE id = 1",
        "UPDATE t SET id = 50 WHERE id = 2",
        "DELETE FROM t WHERE id = 3",
        "SET SESSION binlog_row_image = NOBLOB",
        "UPDATE t SET name = 'x' WHERE id = 4",
    )
    world.run()
    assert_equal(world)
    write(maria_log, "SET SESSION binlog_row_image = MINIMAL", "INSERT INTO t (id) VALUES (60)")
    refused(world, "E_SOURCE_PAGE_FAILED", "binlog_row_image")


def test_without_names_in_the_log_an_altered_table_needs_a_load(tmp_path: Path, maria_log: MariaDatabase) -> None:
    with setting(maria_log, "binlog_row_metadata", "NO_LOG"):
        maria_log.run(
            "CREATE TABLE t (id int PRIMARY KEY, a int unsigned, b enum('x','y'), c varchar(9) CHARACTER SET latin1)"
        )
        world = binlog_world(tmp_path, maria_log)
        world.run()
        write(
            maria_log, "INSERT INTO t VALUES (1, 4000000000, 'y', '\u00f6')", "UPDATE t SET c = 'z\u00e9' WHERE id = 1"
        )
        world.run()
        assert_equal(world)
        write(maria_log, "ALTER TABLE t ADD COLUMN d int AFTER id", "INSERT INTO t VALUES (2, 1, 2, 'x', 'c')")
        world.run()  # all rows are behind the change
        assert_equal(world)
        write(
            maria_log,
            "INSERT INTO t VALUES (3, 1, 2, 'x', 'c')",
            "ALTER TABLE t CHANGE d e int",
            "INSERT INTO t VALUES (4, 1, 2, 'x', 'c')",
        )
        refused(world, "E_LOG_GONE", "does not name the columns")


def test_compressed_events_and_other_checksums_are_read(world: TableWorld, maria_log: MariaDatabase) -> None:
    with (
        setting(maria_log, "log_bin_compress", "1"),
        setting(maria_log, "log_bin_compress_min_len", "10"),
        setting(maria_log, "binlog_checksum", "NONE"),
    ):
        maria_log.run("INSERT INTO t SELECT seq, 'c', repeat('c', 2000) FROM seq_100_to_120")
        maria_log.run("UPDATE t SET big = repeat('d', 3000), name = 'u' WHERE id > 110")
        maria_log.run("DELETE FROM t WHERE id IN (100, 101, 102)")
        write(maria_log, f"TRUNCATE /* {'long ' * 100} */ t", "INSERT INTO t VALUES (1, 'x', NULL)")
        world.run()
        assert_equal(world)
    maria_log.run("INSERT INTO t VALUES (2, 'x', NULL)")
    world.run()
    assert_equal(world)


@pytest.mark.parametrize(
    ("name", "value"),
    [("binlog_format", "'MIXED'"), ("binlog_row_image", "'MINIMAL'"), ("binlog_row_image", "'NOBLOB'")],
)
def test_a_server_without_whole_rows_in_its_log_is_refused(
    name: str, value: str, world: TableWorld, maria_log: MariaDatabase
) -> None:
    with setting(maria_log, name, value):
        refused(world, ConfigError.code, f"server's {name} is")


@pytest.mark.parametrize(
    ("create", "part"),
    [
        (
            "CREATE TABLE u (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES t (id) ON DELETE CASCADE)",
            "foreign key",
        ),
        ("CREATE TABLE u (id int PRIMARY KEY) ENGINE=MEMORY", "engine 'MEMORY'"),
        ("CREATE TABLE u (id int PRIMARY KEY) WITH SYSTEM VERSIONING", "without versions"),
    ],
)
def test_a_table_that_is_not_all_in_the_log_is_refused(
    create: str, part: str, tmp_path: Path, world: TableWorld, maria_log: MariaDatabase
) -> None:
    maria_log.run(create)
    refused(binlog_world(tmp_path, maria_log, "u"), ModeUnsupported.code, part)


def test_a_user_without_the_right_to_the_log_is_told_the_grant(world: TableWorld, maria_log: MariaDatabase) -> None:
    user = maria_log.name
    write(
        maria_log, f"CREATE USER {user}@'%' IDENTIFIED BY 'secret'", f"GRANT SELECT ON {maria_log.name}.* TO {user}@'%'"
    )
    url = maria_log.url.replace("root@", f"{user}:secret@")
    world.endpoint = world.endpoint.model_copy(update={"config": {"url": url}})
    summary = attempt(world)
    assert summary.error is not None
    assert summary.error.code == SourceDenied.code
    assert "BINLOG MONITOR" in str(summary.error.hint)
    write(maria_log, f"GRANT BINLOG MONITOR, REPLICATION SLAVE ON *.* TO {user}@'%'", "DELETE FROM t WHERE id = 1")
    world.run()
    assert_equal(world)


def test_a_log_of_other_tables_moves_the_position_on(world: TableWorld, maria_log: MariaDatabase) -> None:
    write(maria_log, "CREATE TABLE o (id int)", "INSERT INTO o VALUES (1)", "FLUSH BINARY LOGS")
    before = log_of(world).read_log_status(world.order().spec, known_of(world))
    assert (before.lag_bytes or 0) > 0
    assert world.run().rows.read == 0
    after = log_of(world).read_log_status(world.order().spec, known_of(world))
    # The server itself writes a few bytes when it has let a file go.
    assert (after.lag_s, (after.lag_bytes or 0) < (before.lag_bytes or 0)) == (0.0, True)


def test_changed_columns_follow_the_policy(world: TableWorld, maria_log: MariaDatabase) -> None:
    write(
        maria_log,
        "INSERT INTO t VALUES (10, 'a', NULL)",
        "ALTER TABLE t ADD COLUMN extra int FIRST, ADD COLUMN more varchar(9) AFTER id",
        "INSERT INTO t (id, extra, more) VALUES (11, 5, 'm')",
        "UPDATE t SET more = 'n' WHERE id = 10",
        "ALTER TABLE t DROP COLUMN big, MODIFY name varchar(100)",
        "UPDATE t SET name = repeat('l', 90) WHERE id = 1",
    )
    world.run()
    found = {row["id"]: row for row in world.rows()}
    assert (found[11]["extra"], found[10]["more"], found[1]["name"]) == (5, "n", "l" * 90)
    assert_equal(world)


def test_a_column_that_is_added_between_description_and_load_is_not_missed(
    tmp_path: Path, maria_log: MariaDatabase
) -> None:
    maria_log.run(CREATE)
    world = binlog_world(tmp_path, maria_log)
    order = world.order()
    write(maria_log, "ALTER TABLE t ADD COLUMN extra int", "INSERT INTO t (id, extra) VALUES (1, 5)")
    summary = launch([order], lambda progress: None, lambda: False)[0]
    assert summary.error is not None
    assert summary.error.code == "E_SOURCE_CHANGED"
    world.run()
    assert world.rows()[0]["extra"] == 5


def read_position(server: MariaDatabase) -> int:
    (row,) = server.run("SHOW MASTER STATUS")
    return LogPosition(row["File"], row["Position"], "").number


def test_the_test_of_a_connection_says_what_is_missing(world: TableWorld, maria_log: MariaDatabase) -> None:
    log = MysqlLog(Mysql())
    assert [found.message for found in log.diagnose(world.endpoint)] == ["run_mode CHANGES is possible"]
    with setting(maria_log, "binlog_row_metadata", "NO_LOG"):
        assert "does not name the columns" in log.diagnose(world.endpoint)[1].message
    with setting(maria_log, "binlog_row_image", "MINIMAL"):
        assert "binlog_row_image is 'MINIMAL'" in log.diagnose(world.endpoint)[0].message
    user = f"{maria_log.name}_r"
    write(maria_log, f"CREATE USER {user}@'%' IDENTIFIED BY 'secret'")
    url = maria_log.url.replace("root@", f"{user}:secret@").rpartition("/")[0]
    (found,) = log.diagnose(world.endpoint.model_copy(update={"config": {"url": url}}))
    assert "may not read the log" in found.message
    assert "REPLICATION SLAVE" in str(found.hint)


def test_appended_changes_have_an_order(tmp_path: Path, maria_log: MariaDatabase) -> None:
    maria_log.run(CREATE)
    maria_log.run("INSERT INTO t VALUES (1, 'a', NULL)")
    world = binlog_world(tmp_path, maria_log, policy={"write": "append"})
    position = read_position(maria_log)
    world.run()
    assert world.lake.to_pyarrow_table().to_pylist()[0]["_lsn"] == position
    write(maria_log, "UPDATE t SET id = 2", "DELETE FROM t", "INSERT INTO t VALUES (3, 'c', NULL)", "TRUNCATE t")
    world.run()
    rows = sorted(world.lake.to_pyarrow_table().to_pylist(), key=lambda row: (row["_lsn"], row["_seq"]))
    assert [(row["_op"], row["id"]) for row in rows] == [
        ("load", 1),
        ("update", 2),
        ("delete", 2),
        ("insert", 3),
        ("truncate", None),
    ]
