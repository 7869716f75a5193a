"""Another history of the log: another server, an older timeline, or a newer one that lacks what was read. `shared/test_promotion.py` makes them
with real servers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.errors import LogGone, SourceDenied
from ingest_ray.sdk.types import LogHistory, RunState
from ingest_ray.testing.servers.postgres import Postgres
from ingest_strategies.jdbc.postgres.changes import log_parts, log_reader, published_table, slot, timeline
from ingest_strategies.jdbc.postgres.changes.lsn import lsn_number, lsn_text
from ingest_strategies.jdbc.postgres.dialect import Postgres as PostgresDialect
from tests.changes.log_world import assert_equal, known_of, log_world
from tests.changes.test_log_state import CREATE, attempt, code_of
from tests.verify.table_world import TableWorld

pytestmark = pytest.mark.slow
READ = timeline.read_history


@contextmanager
def promoted(to: int, *left: tuple[int, int], server: str | None = None) -> Iterator[None]:
    """The server is on timeline `to`; `left`: where each older one ended."""

    def read(*given: Any) -> LogHistory | None:
        found = READ(*given)
        assert found is not None
        return found.model_copy(update={"timeline": to, "server": server or found.server})

    text = "".join(f"{number}\t{lsn_text(end)}\tno recovery target specified\n\n" for number, end in left)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published_table, "read_history", read)
        patch.setattr(timeline, "_read_history_file", lambda *given: text)
        yield


def refused(*given: Any, **options: Any) -> Any:
    raise SourceDenied("the run ends between its plan and its commit")


def position(world: TableWorld) -> int:
    return lsn_number(known_of(world)["all"].watermark[0])


def message(world: TableWorld) -> str:
    failed = attempt(world)
    assert code_of(failed) == "E_LOG_GONE"
    assert failed.error is not None
    return failed.error.message


def test_a_history_that_lacks_what_was_read_stops_the_unit(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world:
        world.run()
        pg.run("INSERT INTO t VALUES (6, 'six')")
        world.run()
        at = position(world)
        pg.run("INSERT INTO t VALUES (7, 'seven')")
        with promoted(2, (1, at - 1)):
            assert "transactions were read that the server lost" in message(world)
        with promoted(3, (2, at)):
            assert "does not come from timeline 1" in message(world)
        with promoted(1, server="42"):
            assert "another server answers: its system identifier is 42" in message(world)
        assert len(world.rows()) == 6
        with promoted(2, (1, at)):
            world.run()
            assert_equal(world)
            pg.run("INSERT INTO t VALUES (8, 'eight')")
            world.run()
            assert known_of(world)["all"].history.timeline == 2
        assert "timeline 1, which does not come from timeline 2" in message(world)  # the old primary came back


def test_a_load_that_saw_more_than_its_position_is_compared_by_what_it_saw(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world:
        with pytest.MonkeyPatch.context() as patch:

            def written(name: str) -> None:
                if name == "log:after-open":  # after the slot, and before the snapshot
                    pg.run("INSERT INTO t VALUES (6, 'in the snapshot')")
                    patch.undo()

            patch.setattr("ingest_ray.run.change_log.reached", written)
            world.run()
        found = known_of(world)["all"].history
        assert lsn_number(found.seen[0]) >= position(world)


def test_a_load_without_a_snapshot_is_not_continued_on_another_timeline() -> None:
    known, now = LogHistory(server="1", timeline=1), LogHistory(server="1", timeline=2, seen=("0/20",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timeline, "_read_history_file", lambda *given: "1\t0/18\tno recovery target specified\n")
        with pytest.raises(LogGone, match="rows were read from the table itself"):
            timeline.require_history(None, "u", known, 16, now)  # type: ignore[arg-type]


def test_a_checkpoint_of_an_older_version_goes_on_and_learns_its_history(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(published_table, "read_history", lambda *given: None)
            world.run()
        assert known_of(world)["all"].history is None
        with promoted(2):
            pg.run("INSERT INTO t VALUES (6, 'six')")
            world.run()
            assert_equal(world)
        assert known_of(world)["all"].history.timeline == 2


def test_a_server_that_hides_its_history_later_is_refused(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world:
        world.run()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(published_table, "read_history", lambda *given: None)
            assert code_of(attempt(world)) == "E_SOURCE_DENIED"


def test_what_was_planned_on_another_history_is_planned_again(tmp_path: Path, pg: Postgres) -> None:
    """A run dies between plan and commit, and the new primary has another, shorter log: what comes there below the planned end is read."""
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world:
        world.run()
        at = position(world)
        pg.run("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(100, 200) i")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(log_reader, "find_or_read", refused)
            assert attempt(world).state is RunState.FAILED
        (scope,) = known_of(world)["all"].scopes
        assert lsn_number(scope.target.upper[0]) > at + 100_000
        log_parts.forget_parts()  # of the old server
        end = lsn_text(at + 8)
        with promoted(2, (1, at)):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(slot, "_END", f"'{end}'::pg_lsn")
                world.run()
            assert position(world) == at + 8
            world.run()
            assert_equal(world)


def test_a_server_without_the_functions_has_no_history(tmp_path: Path, pg: Postgres) -> None:
    pg.run(CREATE)
    with log_world(tmp_path, pg) as world, pytest.MonkeyPatch.context() as patch:
        patch.setattr(timeline, "_HISTORY", "SELECT no_such_function()")
        world.run()
        pg.run("INSERT INTO t VALUES (6, 'six')")
        world.run()
        assert_equal(world)
        assert known_of(world)["all"].history is None


def test_the_history_file_is_read_by_a_role_that_may_only_replicate(tmp_path: Path, pg: Postgres) -> None:
    pg.run("DO $$ BEGIN CREATE ROLE replicating LOGIN REPLICATION; EXCEPTION WHEN duplicate_object THEN END $$")
    with log_world(tmp_path, pg) as world:
        config = {**world.endpoint.config, "url": pg.url_of("replicating")}
        endpoint = world.endpoint.model_copy(update={"config": config})
        with PostgresDialect().open(endpoint) as session:
            with pytest.raises(SourceDenied, match=r"00000009\.history' cannot be read: .*could not open file"):
                timeline._read_history_file(session, "u", 1, 9)
