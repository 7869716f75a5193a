"""A PostgreSQL sink whose server dies between the steps of a commit. The module kills a server of its own."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.sdk.errors import Fenced, SinkUnavailable, StagingLost
from ingest_ray.sdk.types import WriteMode
from ingest_ray.sinks.databases.table_names import unit_table_name
from ingest_ray.testing.servers.postgres import Postgres, fresh_database
from ingest_ray.testing.suites.model_sink import ITEM, LINK, Pages
from ingest_ray.testing.suites.sink_harness import SCHEMA, Load, keys, piece, rows
from tests.killable_postgres import KillablePostgres, killable_postgres
from tests.sinks.test_models import PostgresWorld as ModelPostgres
from tests.sinks.test_postgres import PostgresWorld

__all__ = ["killable_postgres"]
STAGES = "select relname from pg_class where relname like '\\_ingest\\_stage%'"


@pytest.fixture
def postgres(killable_postgres: KillablePostgres) -> Iterator[Postgres]:
    yield from fresh_database(killable_postgres.server)


def read_rows(killable_postgres: KillablePostgres, postgres: Postgres, load: Load) -> list[tuple[Any, ...]]:
    """The rows, read on a connection that was opened after the crash."""
    reader = Postgres(postgres.folder, postgres.name)
    load.world = PostgresWorld(reader)
    try:
        return load.found()
    finally:
        reader.close()


@pytest.mark.parametrize("write", list(WriteMode))
@pytest.mark.parametrize("first", [True, False])
def test_a_stage_that_a_crash_emptied_is_not_committed_as_nothing(
    killable_postgres: KillablePostgres, postgres: Postgres, write: WriteMode, first: bool
) -> None:
    load = Load(PostgresWorld(postgres), write)
    load.put((1, 1, "kept"))
    lost = load.prepare(rows((2, 1, "a"), (3, 1, "b")), first=first)
    killable_postgres.crash()
    with pytest.raises(StagingLost, match="0 rows instead of 2"):
        load.commit(lost)
    assert read_rows(killable_postgres, postgres, load) == [(1, 1, "kept")]
    assert load.sink.open(load.target, SCHEMA, 1) == 1
    load.sequence = 1
    again = load.prepare(rows((2, 1, "a"), (3, 1, "b")), first=first)
    assert again.row_hash == lost.row_hash
    load.commit(again)
    kept = [] if write is WriteMode.REPLACE else [(1, 1, "kept")]
    assert read_rows(killable_postgres, postgres, load) == [*kept, (2, 1, "a"), (3, 1, "b")]


@pytest.mark.parametrize("first", [True, False])
def test_one_lost_stage_of_a_group_stops_all_of_it(
    killable_postgres: KillablePostgres, postgres: Postgres, first: bool
) -> None:
    load = Load(PostgresWorld(postgres), WriteMode.UPSERT)
    lost = load.prepare(rows((1, 1, "a")), first=first)
    killable_postgres.crash()
    whole = load.prepare(rows((2, 1, "b")), first=first)
    with pytest.raises(StagingLost):
        load.commit(whole, lost)
    assert read_rows(killable_postgres, postgres, load) == []
    load.sequence = 0
    load.commit(whole, load.prepare(rows((1, 1, "a")), first=first))
    assert read_rows(killable_postgres, postgres, load) == [(1, 1, "a"), (2, 1, "b")]


def test_what_was_committed_outlives_a_crash_and_its_commit_is_recognised(
    killable_postgres: KillablePostgres, postgres: Postgres
) -> None:
    load = Load(PostgresWorld(postgres), WriteMode.APPEND)
    prepared = load.prepare(rows((1, 1, "a")))
    receipt = load.commit(prepared)
    killable_postgres.crash()
    again = load.sink.commit(load.target, SCHEMA, 1, 1, [prepared])
    assert (again.rows_committed, again.sequence) == (receipt.rows_committed, 1)
    assert load.sink.open(load.target, SCHEMA, 1) == 1
    assert read_rows(killable_postgres, postgres, load) == [(1, 1, "a")]


def test_a_crash_in_a_commit_undoes_all_of_it(
    killable_postgres: KillablePostgres, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Load(PostgresWorld(postgres), WriteMode.UPSERT)
    load.put((1, 1, "a"))
    prepared = load.prepare(rows((1, 2, "b"), (2, 1, "c")))
    database = load.sink._db  # type: ignore[attr-defined]
    with monkeypatch.context() as patched:
        patched.setattr(
            database,
            "drop_stages_in",
            lambda session, stages: (killable_postgres.crash(), session.execute("select 1")),
        )
        with pytest.raises(SinkUnavailable):
            load.commit(prepared)
    assert read_rows(killable_postgres, postgres, load) == [(1, 1, "a")]
    with pytest.raises(StagingLost):
        load.sink.commit(load.target, SCHEMA, 1, 2, [prepared])
    load.sequence = 1
    load.commit(load.prepare(rows((1, 2, "b"), (2, 1, "c"))))
    assert read_rows(killable_postgres, postgres, load) == [(1, 2, "b"), (2, 1, "c")]


def test_keys_to_erase_that_a_crash_took_are_not_erased_as_nothing(
    killable_postgres: KillablePostgres, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Load(PostgresWorld(postgres), WriteMode.UPSERT)
    load.put((1, 1, "a"), (2, 1, "b"))
    database = load.sink._db  # type: ignore[attr-defined]
    loaded = database.load_stage

    def crashing(stage: str, schema: pa.Schema, batches: Any) -> None:
        loaded(stage, schema, batches)
        killable_postgres.crash()

    with monkeypatch.context() as patched:
        patched.setattr(database, "load_stage", crashing)
        with pytest.raises(StagingLost):
            load.sink.erase(load.target, SCHEMA, 1, 2, [keys((1,))], "delete")
    assert load.sink.open(load.target, SCHEMA, 1) == 1
    assert load.sink.erase(load.target, SCHEMA, 1, 2, [keys((1,))], "delete").rows_committed == 1
    assert read_rows(killable_postgres, postgres, load) == [(2, 1, "b")]


def test_a_zombie_is_fenced_before_its_lost_stage_is_looked_at(
    killable_postgres: KillablePostgres, postgres: Postgres
) -> None:
    old = Load(PostgresWorld(postgres), WriteMode.APPEND)
    lost = old.prepare(rows((1, 1, "zombie")))
    killable_postgres.crash()
    old.sink.open(old.target, SCHEMA, 2)
    with pytest.raises(Fenced):
        old.commit(lost)


def test_stages_that_a_crash_emptied_are_swept_by_the_next_run(
    killable_postgres: KillablePostgres, postgres: Postgres
) -> None:
    load = Load(PostgresWorld(postgres), WriteMode.APPEND, run="dead")
    load.prepare(rows((1, 1, "a")))
    killable_postgres.crash()
    reader = Postgres(postgres.folder, postgres.name)
    assert len(reader.run(STAGES)) == 1
    Load(PostgresWorld(reader), WriteMode.APPEND, run="next", epoch=2)
    assert reader.run(STAGES) in ([], ())
    reader.close()


def test_a_sink_goes_on_with_new_connections_after_a_crash(
    killable_postgres: KillablePostgres, postgres: Postgres
) -> None:
    load = Load(PostgresWorld(postgres), WriteMode.APPEND)
    load.put((1, 1, "a"))
    killable_postgres.crash()
    assert not load.sink.is_empty(load.target)
    load.commit(load.sink.prepare(load.target, piece(2), SCHEMA, iter([rows((2, 1, "b"))])))
    assert read_rows(killable_postgres, postgres, load) == [(1, 1, "a"), (2, 1, "b")]


def test_rows_that_are_gone_from_a_stage_are_missed_whatever_took_them(
    killable_postgres: KillablePostgres, postgres: Postgres
) -> None:
    load = Load(PostgresWorld(postgres), WriteMode.UPSERT)
    for first in (True, False):
        prepared = load.prepare(rows((1, 1, "a"), (2, 1, "b")), first=first)
        postgres.run(f"delete from {prepared.payload['stage']} where id = 1")
        with pytest.raises(StagingLost, match="1 rows instead of 2"):
            load.commit(prepared)
        load.sequence = 0
    assert postgres.run(f"select * from {unit_table_name(load.target)}") in ([], ())


def read_pages(postgres: Postgres, pages: Pages) -> tuple[list[str], list[str]]:
    reader = Postgres(postgres.folder, postgres.name)
    pages.world = ModelPostgres(reader)
    try:
        return pages.found(ITEM), pages.found(LINK)
    finally:
        reader.close()


def test_models_of_which_a_crash_took_the_stages_are_prepared_again_under_the_same_number(
    killable_postgres: KillablePostgres, postgres: Postgres
) -> None:
    pages = Pages(ModelPostgres(postgres))
    pages.put(("p", 1, ["kept"]))
    lost = pages.prepare(("p", 2, ["a", "b"]), ("q", 1, []))
    killable_postgres.crash()
    with pytest.raises(StagingLost, match="rows instead of"):
        pages.commit(lost)
    assert read_pages(postgres, pages) == (["p@1"], ["p-kept@1"])
    assert pages.sink.open(pages.tables, 1) == 1
    pages.sequence = 1
    pages.commit(pages.prepare(("p", 2, ["a", "b"]), ("q", 1, [])))
    with pytest.raises(StagingLost):  # late, from a process that does not know
        pages.sink.commit(pages.tables, 1, 3, lost)
    assert read_pages(postgres, pages) == (["p@2", "q@1"], ["p-a@2", "p-b@2"])


def test_a_lost_stage_of_one_table_stops_the_commit_of_all_tables(
    killable_postgres: KillablePostgres, postgres: Postgres
) -> None:
    pages = Pages(ModelPostgres(postgres))
    lost = pages.prepare(("p", 1, ["a"]))
    postgres.run(f"truncate {lost[1][0].payload['stage']}")
    with pytest.raises(StagingLost):
        pages.commit(lost)
    assert read_pages(postgres, pages) == ([], [])
