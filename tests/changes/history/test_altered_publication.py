"""What others do to a publication, a table or a slot between two runs, also where they undo it: changes that the log does not have are
never passed over."""

from pathlib import Path
from typing import Any

import pytest

from ingest_ray.testing.servers.postgres import Postgres
from ingest_strategies.jdbc.postgres.changes.slot import shared_name
from tests.changes.log_world import assert_equal, log_world, slots
from tests.changes.test_log_state import CREATE, attempt, code_of
from tests.verify.table_world import TableWorld

pytestmark = pytest.mark.slow
CHANGE = "UPDATE t SET name = 'not published' WHERE id = 1; DELETE FROM t WHERE id = 2"


def with_publication(world: TableWorld, name: str = "ours") -> None:
    config: dict[str, Any] = {**world.endpoint.config, "publication": name}
    world.endpoint = world.endpoint.model_copy(update={"config": config})


def message(world: TableWorld) -> str:
    failed = attempt(world)
    assert code_of(failed) == "E_LOG_GONE"
    assert failed.error is not None
    return failed.error.message


@pytest.mark.parametrize(
    ("away", "back"),
    [
        (
            "ALTER PUBLICATION {} SET (publish = 'insert')",
            "ALTER PUBLICATION {} SET (publish = 'insert, update, delete, truncate')",
        ),
        ("ALTER PUBLICATION {} DROP TABLE t", "ALTER PUBLICATION {} ADD TABLE t"),
        ("ALTER PUBLICATION {} SET TABLE t WHERE (id > 3)", "ALTER PUBLICATION {} SET TABLE t"),
        ("ALTER PUBLICATION {} SET TABLE t (id)", "ALTER PUBLICATION {} SET TABLE t"),
        ("DROP PUBLICATION {}", "CREATE PUBLICATION {} FOR TABLE t WITH (publish_via_partition_root = true)"),
    ],
)
def test_a_publication_that_left_changes_out_for_a_while_is_a_lost_log(
    tmp_path: Path, pg: Postgres, away: str, back: str
) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world:
        world.run()
        name = shared_name(world.endpoint)
        pg.run(away.format(name))
        pg.run(CHANGE)
        pg.run(back.format(name))
        pg.run("INSERT INTO t VALUES (6, 'six')")
        assert f"publication '{name}' was altered since" in message(world)


def test_other_tables_of_the_publication_and_new_columns_change_nothing(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    pg.run("CREATE TABLE other (id int PRIMARY KEY); CREATE PUBLICATION ours FOR TABLE t")
    with log_world(tmp_path, pg) as world:
        with_publication(world)
        world.run()
        pg.run("ALTER PUBLICATION ours ADD TABLE other; ALTER TABLE t ADD COLUMN extra int")
        pg.run("VACUUM FREEZE pg_publication")
        pg.run("INSERT INTO t VALUES (6, 'six', 6)")
        world.run()
        pg.run("ALTER PUBLICATION ours DROP TABLE other; ALTER TABLE t DROP COLUMN extra")
        pg.run("VACUUM FREEZE pg_publication_rel")
        pg.run("INSERT INTO t VALUES (7, 'seven')")
        world.run()
        assert_equal(world)


def test_a_column_that_is_not_published_is_named(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    pg.run("CREATE PUBLICATION ours FOR TABLE t (id)")
    with log_world(tmp_path, pg) as world:
        with_publication(world)
        failed = attempt(world)
        assert code_of(failed) == "E_BAD_INPUT"
        assert failed.error is not None
        assert "does not publish column 'name'" in failed.error.message


@pytest.mark.parametrize(
    "statements",
    [
        "ALTER TABLE t DROP COLUMN name; ALTER TABLE t ADD COLUMN name text",
        "ALTER TABLE t RENAME name TO before; ALTER TABLE t RENAME extra TO name",
        "ALTER TABLE t RENAME name TO x; ALTER TABLE t RENAME extra TO name; ALTER TABLE t RENAME x TO extra",
    ],
)
def test_a_column_that_took_over_a_name_is_a_lost_log(tmp_path: Path, pg: Postgres, statements: str) -> None:
    pg.run(CREATE)
    pg.run("ALTER TABLE t ADD COLUMN extra text DEFAULT 'extra'")
    with log_world(tmp_path, pg) as world:
        world.run()
        pg.run(statements)
        pg.run("INSERT INTO t VALUES (6, 'six')")
        assert "is another one than before" in message(world)


def test_another_table_of_the_name_is_a_lost_log_also_where_all_tables_are_published(
    tmp_path: Path, pg: Postgres
) -> None:
    pg.run(CREATE)
    pg.run("CREATE PUBLICATION ours FOR ALL TABLES")
    with log_world(tmp_path, pg) as world:
        with_publication(world)
        world.run()
        pg.run("CREATE TABLE new (LIKE t INCLUDING ALL); INSERT INTO new VALUES (1, 'other')")
        pg.run("ALTER TABLE t RENAME TO old; ALTER TABLE new RENAME TO t; INSERT INTO t VALUES (2, 'x')")
        assert "the table was made again, or another one has its name now" in message(world)


def test_a_slot_that_was_made_again_under_the_name_is_a_lost_log(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world:
        world.run()
        (name,) = slots(pg)
        pg.run(f"SELECT pg_drop_replication_slot('{name}')")
        pg.run(CHANGE)
        pg.run(f"SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')")
        assert "was moved on" in message(world)


def test_an_identity_that_was_taken_away_is_refused(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world:
        world.run()
        pg.run("ALTER TABLE t REPLICA IDENTITY NOTHING; INSERT INTO t VALUES (6, 'six')")
        assert code_of(attempt(world)) == "E_INGESTION_MODE_UNSUPPORTED"


def test_what_else_a_log_has_is_applied_or_left_out(tmp_path: Path, pg: Postgres) -> None:
    """Prepared transactions, savepoints, a transaction that is larger than the server's memory for it, labels that are new, messages,
    sequences."""
    pg.run("CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (id serial PRIMARY KEY, name text, m mood)")
    pg.run("INSERT INTO t (name, m) VALUES ('first', 'sad')")
    with log_world(tmp_path, pg) as world:
        world.run()
        session = pg.connect()
        session.autocommit = True
        pg.run("ALTER TYPE mood ADD VALUE 'glad'")
        pg.run("BEGIN; INSERT INTO t (name, m) VALUES ('prepared', 'glad'); PREPARE TRANSACTION 'one'", session)
        pg.run("BEGIN; INSERT INTO t (name) VALUES ('gone'); PREPARE TRANSACTION 'two'", session)
        pg.run("INSERT INTO t (name) SELECT repeat('x', 500) FROM generate_series(1, 2000)")
        world.run()
        assert_equal(world)
        pg.run("COMMIT PREPARED 'one'")
        pg.run("ROLLBACK PREPARED 'two'")
        pg.run(
            "BEGIN; SAVEPOINT a; UPDATE t SET name = 'undone'; ROLLBACK TO a; UPDATE t SET m = 'glad' WHERE id = 1; COMMIT",
            session,
        )
        pg.run("SELECT pg_logical_emit_message(false, 'x', 'y'), nextval('t_id_seq')")
        world.run()
        assert_equal(world)
