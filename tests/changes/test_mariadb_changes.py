"""Changes of a MariaDB table, from its binary log to the rows of each sink."""

from pathlib import Path

import pytest

from ingest_ray.testing.servers.mariadb import MariaDatabase
from tests.changes.binlog_world import binlog_world, write
from tests.changes.log_world import assert_equal
from tests.verify.test_types import sink_of

pytestmark = pytest.mark.slow
SINKS = [
    "delta",
    *(pytest.param(sink, marks=pytest.mark.faults) for sink in ("postgres", "sqlite", "duckdb", "mariadb")),
]


@pytest.mark.parametrize("sink", SINKS)
def test_every_kind_of_change_arrives_in_every_sink(
    sink: str, tmp_path: Path, maria_log: MariaDatabase, request: pytest.FixtureRequest
) -> None:
    maria_log.run("CREATE TABLE t (id int PRIMARY KEY, name varchar(50), big longtext)")
    maria_log.run("INSERT INTO t SELECT seq, concat('n', seq), repeat(md5(seq), 100) FROM seq_1_to_20")
    world = binlog_world(tmp_path, maria_log, sink=sink_of(sink, tmp_path, request))
    world.run()
    assert_equal(world)
    write(
        maria_log,
        "INSERT INTO t VALUES (21, 'new', repeat('x', 5000)), (22, NULL, NULL)",
        "UPDATE t SET name = 'small change' WHERE id <= 3",
        "DELETE FROM t WHERE id = 4",
        "UPDATE t SET id = 105 WHERE id = 5",
        "UPDATE t SET name = NULL WHERE id = 105",
    )
    world.run()
    assert_equal(world)
    write(
        maria_log,
        "UPDATE t SET id = id + 200 WHERE id IN (6, 7)",
        "INSERT INTO t VALUES (6, 'again', 'b')",
        "DELETE FROM t WHERE id = 207",
    )
    world.run()
    assert_equal(world)
    write(maria_log, "TRUNCATE t", "INSERT INTO t VALUES (1, 'after', 'c')")
    world.run()
    assert_equal(world)
    maria_log.run("TRUNCATE t")
    assert world.run().rows.committed == 1
    assert_equal(world)
    assert world.run().rows.read == 0
