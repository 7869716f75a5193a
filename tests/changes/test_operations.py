"""What the server must give for changes, what keeps its log, and what nothing reads any more."""

from pathlib import Path

import pytest

from ingest_ray.registry import strategy_for
from ingest_ray.run import launch
from ingest_ray.sdk.types import RunState
from ingest_ray.testing.servers.postgres import Postgres
from tests.changes.log_world import known_of, log_world
from tests.verify.table_world import TableWorld

pytestmark = pytest.mark.slow
CREATE = "CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t SELECT i, 'n' FROM generate_series(1, 5) i"


def messages(world: TableWorld) -> str:
    endpoint = world.order().spec.endpoint
    report = strategy_for(endpoint.template).test(endpoint)
    assert report.ok
    assert {item.level for item in report.diagnostics} == {"info"}
    return "\n".join(f"{item.message} | {item.hint}" for item in report.diagnostics)


def test_the_connection_test_says_that_nothing_is_missing(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world:
        assert "run_mode CHANGES is possible" in messages(world)
        assert "max_slot_wal_keep_size" in messages(world)


def test_the_connection_test_names_every_right_that_is_missing(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    pg.run(
        "DO $$ BEGIN CREATE ROLE plain LOGIN; EXCEPTION WHEN duplicate_object THEN END $$; GRANT SELECT ON t TO plain"
    )
    with log_world(tmp_path, pg) as world:
        config = {**world.endpoint.config, "url": pg.url_of("plain")}
        world.endpoint = world.endpoint.model_copy(update={"config": config})
        found = messages(world)
        assert "role 'plain' may not use replication slots" in found
        assert "lacks CREATE on the database" in found
        pg.run(f'GRANT CREATE ON DATABASE "{pg.name}" TO plain')
        assert "owns 0 of 1 tables" in messages(world)
        world.endpoint = world.endpoint.model_copy(update={"config": {**config, "publication": "ours"}})
        assert "publication 'ours', which 'publication' of the endpoint names, does not exist" in messages(world)


def test_a_server_without_room_for_a_slot_is_an_error_that_says_so(
    tmp_path: Path, pg: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    pg.run(CREATE)
    monkeypatch.setattr("ingest_strategies.jdbc.postgres.changes.slot._ROOM", "SELECT 4::bigint, 4::bigint, false")
    with log_world(tmp_path, pg) as world:
        (summary,) = launch([world.order()], lambda progress: None, lambda: False)
        assert summary.state is RunState.FAILED
        assert summary.error is not None
        assert "max_replication_slots" in summary.error.message


def test_a_log_without_a_change_of_the_table_is_not_kept(tmp_path: Path, pg: Postgres) -> None:
    """The log is that of all databases of the server: what others write is not kept for the slot of an idle table."""
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world:
        world.run()
        for _ in range(2):
            before = _confirmed(pg)
            pg.run("SELECT pg_logical_emit_message(true, 'other', repeat('x', 10000))")
            assert world.run().slices.planned == 0
            assert _confirmed(pg) != before
            assert known_of(world)["all"].watermark[0] == _confirmed(pg)


def test_slots_are_made_for_standbys_where_the_server_has_that(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    ((version,),) = pg.run("SELECT current_setting('server_version_num')::int")
    if version < 170_000:
        pytest.skip("PostgreSQL 17, which has slots for failovers, is missing")
    with log_world(tmp_path, pg) as world:
        world.run()
        assert pg.run("SELECT failover FROM pg_replication_slots WHERE database = current_database()") == [[True]]


def _confirmed(server: Postgres) -> str:
    ((lsn,),) = server.run(
        "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE database = current_database()"
    )
    return str(lsn)
