"""The log that the source keeps: made, let go behind the checkpoint, bounded, lost, dropped; and what a unit must be to be read from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.run import launch
from ingest_ray.run.preview import preview_plan
from ingest_ray.sdk.errors import ConfigError, GateError, IngestError, ModeUnsupported
from ingest_ray.sdk.types import RunMode, RunState, RunSummary
from ingest_ray.testing.servers.postgres import Postgres
from ingest_strategies.jdbc.postgres.changes import log_parts, log_reader, slot
from ingest_strategies.jdbc.postgres.changes.unit_slot import read_relation_oid
from tests.changes.log_world import assert_equal, drop_slots, known_of, log_of, log_world, slots
from tests.verify.table_world import TableWorld

pytestmark = pytest.mark.slow
CREATE = "CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t SELECT i, 'n' FROM generate_series(1, 5) i"


CODES = [0, 2**30]  # from how many bytes on the log is read by machine code


def use(patch: pytest.MonkeyPatch, code: int) -> None:
    for module in (log_parts, log_reader):
        patch.setattr(module, "COMPILED_BYTES", code)


def attempt(world: TableWorld) -> RunSummary:
    return launch([world.order()], lambda progress: None, lambda: False)[0]


def code_of(summary: RunSummary) -> str:
    assert summary.state is RunState.FAILED
    assert summary.error is not None
    return summary.error.code


@contextmanager
def monkeypatched_end(lsn: str) -> Iterator[None]:
    """The log ends at a position."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slot, "_END", f"'{lsn}'::pg_lsn")
        yield


def confirmed(server: Postgres) -> str:
    ((lsn,),) = server.run(
        "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE database = current_database()"
    )
    return str(lsn)


def test_the_slot_is_moved_to_the_checkpoint_and_not_beyond(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world:
        world.run()
        pg.run("INSERT INTO t VALUES (6, 'six')")
        world.run()
        assert confirmed(pg) == known_of(world)["all"].watermark[0]
        pg.run("INSERT INTO t VALUES (7, 'seven')")
        assert confirmed(pg) == known_of(world)["all"].watermark[0]
        pg.run("CREATE TABLE other AS SELECT generate_series(1, 1000)")  # of which the table has no change
        world.run()
        before = confirmed(pg)
        pg.run("CREATE TABLE another AS SELECT generate_series(1, 1000)")
        assert world.run().slices.planned == 0
        assert confirmed(pg) != before  # an idle table holds no log back
        assert_equal(world)


def test_a_column_that_is_added_between_description_and_load_is_not_missed(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world:
        order = world.order()
        pg.run("ALTER TABLE t ADD COLUMN extra int")
        pg.run("UPDATE t SET extra = id")
        summary = launch([order], lambda progress: None, lambda: False)[0]
        assert code_of(summary) == "E_SOURCE_CHANGED"
        world.run()
        assert sorted(row["extra"] for row in world.rows()) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("policy", [{"exclude_columns": ("extra",)}, {"on_schema_change": "quarantine_row"}])
def test_a_column_that_the_policy_leaves_out_stops_no_run(
    tmp_path: Path, pg: Postgres, policy: dict[str, object]
) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg, policy=policy) as world:
        orders = [world.order(), world.order()]
        pg.run("ALTER TABLE t ADD COLUMN extra int")
        pg.run("UPDATE t SET extra = id")
        for order, name in zip(orders, ("n", "changed"), strict=True):
            (summary,) = launch([order], lambda progress: None, lambda: False)
            assert summary.state is RunState.SUCCEEDED, summary.error
            assert {row["name"] for row in world.rows()} == {name}
            pg.run("UPDATE t SET name = 'changed', extra = 7")
        assert "extra" not in world.rows()[0]


def test_a_lost_log_is_an_error_and_never_a_gap(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world:
        world.run()
        pg.run("INSERT INTO t VALUES (6, 'six')")
        (slot,) = slots(pg)
        pg.run(f"SELECT pg_replication_slot_advance('{slot}', pg_current_wal_lsn())")
        failed = attempt(world)
        assert code_of(failed) == "E_LOG_GONE"
        assert failed.error is not None
        assert "moved on" in failed.error.message
        drop_slots(pg)
        assert code_of(attempt(world)) == "E_LOG_GONE"
        with pytest.raises(IngestError, match="the log is gone from"):
            preview_plan(world.order())


def test_a_log_that_goes_while_it_is_read_is_an_error(
    tmp_path: Path, pg: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world:
        world.run()
        pg.run("INSERT INTO t VALUES (6, 'six')")
        (name,) = slots(pg)

        def moving(*given: Any) -> int:
            pg.run(f"SELECT pg_replication_slot_advance('{name}', pg_current_wal_lsn())")
            return read_relation_oid(*given)

        monkeypatch.setattr(log_reader, "read_relation_oid", moving)
        assert code_of(attempt(world)) == "E_LOG_GONE"
        assert len(world.rows()) == 5


@pytest.mark.parametrize("code", CODES)
def test_a_row_that_moved_and_is_gone_leaves_no_older_row_behind(
    code: int, tmp_path: Path, pg: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, code)
    pg.run("CREATE TABLE t (id int PRIMARY KEY, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL")
    pg.run("INSERT INTO t SELECT i, repeat('x', 5000) FROM generate_series(1, 2) i")
    with log_world(tmp_path, pg) as world:
        world.run()
        pg.run("DELETE FROM t WHERE id = 2; UPDATE t SET id = 2 WHERE id = 1")
        end = pg.run("SELECT pg_current_wal_lsn()::text")[0][0]
        pg.run("UPDATE t SET id = 3")  # after the part of the log that is read below
        spec = world.order().spec
        with monkeypatched_end(end):
            world.run()
        assert log_of(world).read_log_status(spec, known_of(world)).lag_bytes
        assert world.rows() == []
        world.run()
        assert_equal(world)


def test_a_table_that_was_made_again_is_a_lost_log(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world:
        world.run()
        pg.run(f"DROP TABLE t; {CREATE}")
        assert code_of(attempt(world)) == "E_LOG_GONE"


def test_more_of_the_log_than_the_bound_stops_the_run(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg, policy={"max_retained_mb": 1}) as world:
        world.run()
        pg.run(
            "UPDATE t SET name = repeat('x', 100); CREATE TABLE big AS SELECT repeat('y', 1000) FROM generate_series(1, 5000)"
        )
        failed = attempt(world)
        assert code_of(failed) == "E_LOG_RETAINED"
        assert failed.error is not None
        assert "changes drop" in str(failed.error.hint)
        world.policy = {"max_retained_mb": 1000}
        world.run()
        assert_equal(world)


def test_the_status_shows_the_lag_and_drop_removes_everything(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world:
        log, spec = log_of(world), world.order().spec
        assert log.read_log_status(spec, {}).state == "none"
        world.run()
        pg.run("INSERT INTO t VALUES (6, 'six')")
        status = log.read_log_status(spec, known_of(world))
        assert status.state == "reserved"
        assert (status.lag_bytes or 0) > 0
        assert (status.retained_bytes or 0) > 0
        assert status.lag_s is not None
        facts = preview_plan(world.order()).facts
        assert facts["lag_bytes"] == status.lag_bytes or int(str(facts["lag_bytes"])) > 0
        assert "default" in str(facts["replica_identity"])
        assert len(log.drop_log(spec, list)) == 2
        assert (slots(pg), pg.run("SELECT 1 FROM pg_publication")) == ([], [])
        assert log.drop_log(spec, list) == []


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("identity", ["FULL", "USING INDEX u"])
def test_other_replica_identities_are_applied(
    identity: str, code: int, tmp_path: Path, pg: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, code)
    pg.run("CREATE TABLE t (id int NOT NULL, name text, big text); CREATE UNIQUE INDEX u ON t (id)")
    pg.run(f"ALTER TABLE t ALTER big SET STORAGE EXTERNAL; ALTER TABLE t REPLICA IDENTITY {identity}")
    with log_world(tmp_path, pg, policy={"primary_key": ("id",)}) as world:
        world.run()
        pg.run("INSERT INTO t SELECT i, 'n', repeat('x', 5000) FROM generate_series(1, 5) i")
        world.run()
        pg.run("UPDATE t SET name = 'm' WHERE id = 1; UPDATE t SET id = 9 WHERE id = 2; DELETE FROM t WHERE id = 3")
        world.run()
        assert_equal(world)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_rows_swap_their_keys_in_one_transaction(
    identity: str, code: int, tmp_path: Path, pg: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, code)
    pg.run("CREATE TABLE t (id int PRIMARY KEY, name text, big text)")
    pg.run(f"ALTER TABLE t ALTER big SET STORAGE EXTERNAL; ALTER TABLE t REPLICA IDENTITY {identity}")
    pg.run("INSERT INTO t SELECT i, 'n' || i, repeat(i::text, 5000) FROM generate_series(1, 4) i")
    with log_world(tmp_path, pg) as world:
        world.run()
        pg.run("BEGIN; UPDATE t SET id = -1 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 2")
        pg.run("UPDATE t SET id = 2 WHERE id = -1; COMMIT")
        world.run()
        assert_equal(world)
        pg.run("BEGIN; UPDATE t SET id = -id; UPDATE t SET id = 5 + id; COMMIT")
        world.run()
        assert_equal(world)


def test_a_key_that_is_checked_at_the_end_of_a_transaction_is_refused(tmp_path: Path, pg: Postgres) -> None:
    """Two rows have one key within it: an update of one of them cannot be told from that of the other."""
    pg.run("CREATE TABLE t (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, name text)")
    pg.run("ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    with log_world(tmp_path, pg, policy={"primary_key": ("id",)}) as world:
        with pytest.raises(ModeUnsupported, match="the key id of table 't' is deferrable"):
            preview_plan(world.order())
        assert code_of(attempt(world)) == "E_INGESTION_MODE_UNSUPPORTED"
        pg.run("CREATE UNIQUE INDEX u ON t (id)")
        world.run()
        assert_equal(world)


def test_a_table_without_an_identity_is_refused_before_it_is_published(tmp_path: Path, pg: Postgres) -> None:
    pg.run("CREATE TABLE t (id int, name text)")
    with log_world(tmp_path, pg, policy={"write": "append"}) as world:
        assert code_of(attempt(world)) == "E_INGESTION_MODE_UNSUPPORTED"
        assert pg.run("SELECT 1 FROM pg_publication") == []
        pg.run("INSERT INTO t VALUES (1, 'a'); UPDATE t SET name = 'b'")  # which PostgreSQL would refuse then


def test_a_key_that_the_log_does_not_have_is_refused(tmp_path: Path, pg: Postgres) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, code int NOT NULL UNIQUE)")
    with log_world(tmp_path, pg, policy={"primary_key": ("code",)}) as world:
        with pytest.raises(ModeUnsupported, match="the unit's key is code"):
            preview_plan(world.order())


@pytest.mark.parametrize("code", CODES)
def test_every_change_is_appended_with_its_operation(
    code: int, tmp_path: Path, pg: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, code)
    pg.run("CREATE TABLE t (id int PRIMARY KEY, name text, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL")
    pg.run("INSERT INTO t VALUES (1, 'a', repeat('x', 5000))")
    with log_world(tmp_path, pg, policy={"write": "append"}) as world:
        world.run()
        pg.run("UPDATE t SET name = 'b'")
        pg.run(
            "BEGIN; INSERT INTO t VALUES (2, 'c'); UPDATE t SET name = 'd' WHERE id = 2; DELETE FROM t WHERE id = 2; COMMIT"
        )
        pg.run("TRUNCATE t")
        world.run()
        rows = sorted(world.lake.to_pyarrow_table().to_pylist(), key=lambda row: (row["_lsn"], row["_seq"]))
        assert [(row["_op"], row["id"], row["name"]) for row in rows] == [
            ("load", 1, "a"),
            ("update", 1, "b"),
            ("insert", 2, "c"),
            ("update", 2, "d"),
            ("delete", 2, None),
            ("truncate", None, None),
        ]
        assert (rows[1]["big"], rows[1]["_unchanged"]) == (None, '["big"]')
        assert rows[1]["_commit_at"] is not None


def test_deleted_rows_stay_as_tombstones_where_the_policy_says_so(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg, policy={"deletes": "tombstone"}) as world:
        world.run()
        pg.run("DELETE FROM t WHERE id = 1; UPDATE t SET id = 20 WHERE id = 2")
        world.run()
        gone = {row["id"] for row in world.lake.to_pyarrow_table().to_pylist() if row["_deleted_at"] is not None}
        assert gone == {1, 2}
        assert_equal(world)
        pg.run("INSERT INTO t VALUES (1, 'back')")
        world.run()
        assert_equal(world)
        pg.run("TRUNCATE t; INSERT INTO t VALUES (4, 'only')")
        world.run()
        assert [row["id"] for row in world.rows()] == [4]


@pytest.mark.parametrize("code", CODES)
def test_partitions_are_read_through_their_root(
    code: int, tmp_path: Path, pg: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, code)
    pg.run("CREATE TABLE t (id int PRIMARY KEY, name text) PARTITION BY RANGE (id)")
    pg.run("CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10); CREATE TABLE t2 PARTITION OF t DEFAULT")
    with log_world(tmp_path, pg) as world:
        world.run()
        pg.run(
            "INSERT INTO t VALUES (1, 'a'), (20, 'b'); UPDATE t SET id = 30 WHERE id = 1; INSERT INTO t2 VALUES (40, 'c')"
        )
        world.run()
        assert_equal(world)
        pg.run("TRUNCATE t")
        world.run()
        assert world.rows() == []


def test_what_the_log_cannot_give_is_refused(tmp_path: Path, pg: Postgres) -> None:
    pg.run(
        "CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL); CREATE VIEW v AS TABLE t"
    )
    with log_world(tmp_path, pg) as world:
        with pytest.raises(GateError, match="generated columns are not in the log: twice"):
            preview_plan(world.order())
        world.policy = {"where": "id > 3"}
        with pytest.raises(ConfigError, match="the log cannot be filtered"):
            preview_plan(world.order())
        world.policy, world.unit = {"primary_key": ("id",)}, "public.v"
        with pytest.raises(GateError, match="only tables"):
            preview_plan(world.order())
        world.policy, world.unit = {}, "public.u"
        pg.run("CREATE UNLOGGED TABLE u (id int PRIMARY KEY)")
        with pytest.raises(GateError, match="table 'u' is unlogged"):
            preview_plan(world.order())


def test_a_table_that_was_moved_to_another_schema_is_not_read_any_more(tmp_path: Path, pg: Postgres) -> None:
    pg.run(f"{CREATE}; CREATE SCHEMA other")
    with log_world(tmp_path, pg) as world:
        world.run()
        order = world.order()
        pg.run("INSERT INTO t VALUES (6, 'six'); ALTER TABLE t SET SCHEMA other; INSERT INTO other.t VALUES (7, 'x')")
        before = world.rows()
        failed = launch([order], lambda progress: None, lambda: False)[0]
        assert failed.state is RunState.FAILED
        assert world.rows() == before
        pg.run("CREATE TABLE t (LIKE other.t INCLUDING ALL); INSERT INTO t VALUES (8, 'of another table')")
        assert code_of(attempt(world)) == "E_LOG_GONE"
        assert world.rows() == before


def test_a_stored_generated_column_is_in_the_log(tmp_path: Path, pg: Postgres) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED)")
    with log_world(tmp_path, pg) as world:
        world.run()
        pg.run("INSERT INTO t VALUES (4)")
        world.run()
        assert_equal(world)


def test_a_publication_that_is_given_is_used_or_refused(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world:
        given: dict[str, Any] = {**world.endpoint.config, "publication": "ours"}
        world.endpoint = world.endpoint.model_copy(update={"config": given})
        assert code_of(attempt(world)) == "E_BAD_INPUT"
        pg.run(
            "CREATE TABLE other (id int PRIMARY KEY); CREATE PUBLICATION ours FOR TABLE t, other WITH (publish = 'insert')"
        )
        assert code_of(attempt(world)) == "E_BAD_INPUT"
        pg.run("ALTER PUBLICATION ours SET (publish = 'insert, update, delete, truncate')")
        world.run()
        pg.run("INSERT INTO other VALUES (1); INSERT INTO t VALUES (6, 'six'); TRUNCATE other")
        assert world.run().rows.read == 1
        assert_equal(world)


def test_a_checkpoint_of_another_run_mode_is_refused(tmp_path: Path, pg: Postgres) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, at timestamptz DEFAULT now()); INSERT INTO t VALUES (1)")
    with log_world(tmp_path, pg, mode=RunMode.INCREMENTAL, policy={"cursor": "at"}) as world:
        world.run()
        world.mode = RunMode.CHANGES
        assert code_of(attempt(world)) == "E_BAD_INPUT"
