"""What administrators do to a table, its log and its server: each is exact in the sink, or a stop that says what to do."""

from pathlib import Path

import pytest

from ingest_ray.sdk.types import RunState
from ingest_ray.testing.servers.mariadb import MariaDatabase
from tests.changes.binlog_world import binlog_world, write
from tests.changes.log_world import assert_equal
from tests.changes.test_binlog_state import attempt, setting
from tests.verify.table_world import TableWorld, counts

pytestmark = pytest.mark.slow
CREATE = "CREATE TABLE t (id int PRIMARY KEY, name varchar(20) CHARACTER SET latin1, size int unsigned)"
GONE = "E_LOG_GONE"


@pytest.fixture
def world(tmp_path: Path, maria_log: MariaDatabase) -> TableWorld:
    maria_log.run(CREATE)
    maria_log.run("INSERT INTO t SELECT seq, 'n', seq FROM seq_1_to_5")
    made = binlog_world(tmp_path, maria_log)
    made.run()
    return made


@pytest.mark.parametrize(
    ("statements", "code"),
    [
        (["CREATE TABLE c LIKE t", "DROP TABLE t", "CREATE TABLE t (PRIMARY KEY (id)) AS SELECT seq AS id, 'made' AS name, 4000000000 AS size FROM seq_3_to_9"], ""),
        pytest.param(["CREATE OR REPLACE TABLE t (id int PRIMARY KEY, name varchar(20), size int unsigned) AS SELECT 7 AS id, 'o' AS name, 1 AS size"], "", marks=pytest.mark.faults),
        (["RENAME TABLE t TO other", "INSERT INTO other VALUES (9, 'x', 1)", "RENAME TABLE other TO t"], GONE),
        (["CREATE TABLE copy LIKE t", "INSERT INTO copy VALUES (9, 'x', 1)", "RENAME TABLE t TO old, copy TO t"], GONE),
        pytest.param(["CREATE TABLE copy LIKE t", "INSERT INTO copy VALUES (9, 'x', 1)", "ALTER TABLE t RENAME old", "ALTER TABLE copy RENAME t"], GONE, marks=pytest.mark.faults),
        (["ALTER TABLE t ADD COLUMN more int, ALGORITHM=INSTANT", "INSERT INTO t VALUES (9, 'x', 1, 2)"], ""),
        pytest.param(["SET SESSION binlog_alter_two_phase = 1", "ALTER TABLE t ADD COLUMN more int", "INSERT INTO t VALUES (9, 'x', 1, 2)"], "", marks=pytest.mark.faults),
        pytest.param(["ALTER TABLE t ADD INDEX (name), ALGORITHM=INPLACE, LOCK=NONE", "UPDATE t SET name = 'i' WHERE id = 2"], "", marks=pytest.mark.faults),
        pytest.param(["ALTER TABLE t MODIFY size bigint, ALGORITHM=COPY", "UPDATE t SET size = 5000000000 WHERE id = 2"], "", marks=pytest.mark.faults),
        pytest.param(["OPTIMIZE TABLE t", "ANALYZE TABLE t", "ALTER TABLE t FORCE", "DELETE FROM t WHERE id = 1"], "", marks=pytest.mark.faults),
        (["SET timestamp = 1000000000", "UPDATE t SET name = 'early' WHERE id = 2", "SET timestamp = DEFAULT", "UPDATE t SET name = 'late' WHERE id = 2"], ""),
    ],
)  # fmt: skip
def test_a_statement_is_exact_or_a_stop(
    statements: list[str], code: str, world: TableWorld, maria_log: MariaDatabase
) -> None:
    write(maria_log, *statements)
    expect(world, code)


def expect(world: TableWorld, code: str) -> None:
    summary = attempt(world)
    if code:
        assert summary.error is not None
        assert (summary.error.code, summary.error.hint is not None) == (code, True), summary.error
        return
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert_equal(world)


@pytest.mark.parametrize(("log_format", "code"), [("ROW", ""), ("STATEMENT", GONE)])
def test_loaded_files_are_exact_or_a_stop(
    log_format: str, code: str, tmp_path: Path, world: TableWorld, maria_log: MariaDatabase
) -> None:
    file = tmp_path / "rows.txt"
    file.write_text("".join(f"{number}\tloaded\t{number}\n" for number in range(10, 500)))
    tmp_path.chmod(0o755)
    write(maria_log, f"SET SESSION binlog_format = {log_format}", f"LOAD DATA INFILE '{file}' IGNORE INTO TABLE t")
    expect(world, code)


def test_partitions_that_are_changed_for_tables_are_a_stop(tmp_path: Path, maria_log: MariaDatabase) -> None:
    parts = "PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (100), PARTITION b VALUES LESS THAN MAXVALUE)"
    maria_log.run(f"CREATE TABLE t (id int PRIMARY KEY, name text) {parts}")
    maria_log.run("INSERT INTO t VALUES (1, 'a'), (200, 'b')")
    world = binlog_world(tmp_path, maria_log)
    world.run()
    write(maria_log, "UPDATE t SET id = 300 WHERE id = 1", "ALTER TABLE t REORGANIZE PARTITION a INTO (PARTITION c VALUES LESS THAN (50), PARTITION d VALUES LESS THAN (100))")  # fmt: skip
    expect(world, "")
    write(maria_log, "CREATE TABLE o (id int PRIMARY KEY, name text)", "INSERT INTO o VALUES (2, 'o')", "ALTER TABLE t EXCHANGE PARTITION c WITH TABLE o")  # fmt: skip
    expect(world, GONE)


def test_minimal_metadata_has_signs_and_character_sets(world: TableWorld, maria_log: MariaDatabase) -> None:
    with setting(maria_log, "binlog_row_metadata", "MINIMAL"):
        write(maria_log, "INSERT INTO t VALUES (9, '\u00f6', 4000000000)", "UPDATE t SET name = '\u00e9' WHERE id = 9")
        expect(world, "")
        write(maria_log, "INSERT INTO t VALUES (10, 'x', 1)", "ALTER TABLE t DROP COLUMN size")
        expect(world, "E_SOURCE_CHANGED")


def test_a_server_that_is_restarted_goes_on_in_a_new_file(world: TableWorld, maria_log: MariaDatabase) -> None:
    write(maria_log, "INSERT INTO t VALUES (9, 'before', 1)")
    (before,) = maria_log.run("SHOW MASTER STATUS")
    maria_log.server.stop()
    maria_log.server.start()
    (after,) = maria_log.run("SHOW MASTER STATUS")
    assert before["File"] != after["File"]
    write(maria_log, "UPDATE t SET name = 'after' WHERE id = 9", "DELETE FROM t WHERE id = 1")
    expect(world, "")


def test_what_a_session_keeps_out_of_the_log_is_found_by_verify(world: TableWorld, maria_log: MariaDatabase) -> None:
    write(maria_log, "SET SESSION sql_log_bin = 0", "DELETE FROM t WHERE id = 1")
    assert attempt(world).state is RunState.SUCCEEDED
    assert counts(world.verify(with_values=True)) == (0, 1, 0, 0)
