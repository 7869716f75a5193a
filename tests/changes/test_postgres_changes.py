"""Changes of a PostgreSQL table, from its log to the rows of each sink."""

from pathlib import Path

import pytest

from ingest_ray.testing.servers.postgres import Postgres
from tests.changes.log_world import assert_equal, log_world, slots
from tests.verify.test_types import sink_of

pytestmark = pytest.mark.slow
SINKS = ["delta", "iceberg", "postgres", "sqlite", "duckdb", "mariadb"]


@pytest.mark.parametrize(
    ("sink", "write"), [*((sink, "upsert") for sink in SINKS), *((sink, "history") for sink in SINKS)]
)
def test_every_kind_of_change_arrives_in_every_sink(
    sink: str, write: str, tmp_path: Path, pg: Postgres, request: pytest.FixtureRequest
) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, name text, big text)")
    pg.run("ALTER TABLE t ALTER COLUMN big SET STORAGE EXTERNAL")
    pg.run("INSERT INTO t SELECT i, 'n' || i, repeat(md5(i::text), 100) FROM generate_series(1, 20) i")
    with log_world(tmp_path, pg, sink=sink_of(sink, tmp_path, request), policy={"write": write}) as world:
        world.run()
        assert_equal(world)
        pg.run("INSERT INTO t VALUES (21, 'new', repeat('x', 5000)), (22, NULL, NULL)")
        pg.run("UPDATE t SET name = 'small change' WHERE id <= 3")  # leaves the large value alone
        pg.run("DELETE FROM t WHERE id = 4")
        pg.run("UPDATE t SET id = 105 WHERE id = 5")
        pg.run("UPDATE t SET name = NULL WHERE id = 105")
        world.run()
        assert_equal(world)
        pg.run("UPDATE t SET id = id + 200 WHERE id IN (6, 7)")
        pg.run("INSERT INTO t VALUES (6, 'again', 'b')")
        pg.run("DELETE FROM t WHERE id = 207")
        world.run()
        assert_equal(world)
        pg.run("TRUNCATE t; INSERT INTO t VALUES (1, 'after', 'c')")
        world.run()
        assert_equal(world)
        pg.run("TRUNCATE t")
        assert world.run().rows.committed == 1
        assert_equal(world)
        assert world.run().rows.read == 0
        assert len(slots(pg)) == 1


@pytest.mark.parametrize("write", ["upsert", "history"])
def test_a_column_becomes_wider_after_others_came_and_went(tmp_path: Path, pg: Postgres, write: str) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, small smallint, gone text)")
    pg.run("INSERT INTO t VALUES (1, 1, 'g')")
    with log_world(tmp_path, pg, policy={"write": write}) as world:
        world.run()
        pg.run("ALTER TABLE t ADD COLUMN extra text; ALTER TABLE t DROP COLUMN gone")
        pg.run("INSERT INTO t VALUES (2, 2, 'x'); UPDATE t SET extra = 'y' WHERE id = 1")
        world.run()
        assert_equal(world)
        pg.run("ALTER TABLE t ALTER COLUMN small TYPE integer; ALTER TABLE t ADD COLUMN more text")
        pg.run("INSERT INTO t VALUES (3, 100000, NULL, 'z'); UPDATE t SET small = 7, more = 'm' WHERE id = 1")
        world.run()
        assert_equal(world)
        rows = [row for row in world.rows() if row.get("_is_current", True)]
        found = {row["id"]: (row["small"], row["extra"], row["more"]) for row in rows}
        assert found == {1: (7, "y", "m"), 2: (2, "x", None), 3: (100_000, None, "z")}


@pytest.mark.parametrize("sink", SINKS)
def test_a_round_that_changes_no_row_of_the_sink_has_its_number(
    sink: str, tmp_path: Path, pg: Postgres, request: pytest.FixtureRequest
) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY)")
    with log_world(tmp_path, pg, sink=sink_of(sink, tmp_path, request)) as world:
        world.run()
        for _ in range(2):
            pg.run("INSERT INTO t VALUES (1); DELETE FROM t")
            world.run()
        pg.run("TRUNCATE t")
        world.run()
        pg.run("INSERT INTO t VALUES (2)")
        world.run()
        assert_equal(world)
