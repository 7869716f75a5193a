"""SQL sinks whose tables do not take every row, and units that write the same rows of a shared table at the same time."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.errors import LedgerMismatch, SinkRejected
from ingest_ray.sdk.types import WriteMode
from ingest_ray.testing.servers.postgres import Postgres
from ingest_ray.testing.suites.model_sink import ITEM, LINK, Pages
from ingest_ray.testing.suites.sink_harness import Load, rows
from tests.sinks.test_models import DuckDbWorld as ModelDuckDb
from tests.sinks.test_models import MariaWorld as ModelMaria
from tests.sinks.test_models import PostgresWorld as ModelPostgres
from tests.sinks.test_models import SqliteWorld as ModelSqlite
from tests.sinks.test_postgres import PostgresWorld
from tests.sinks.test_sql import run_sqlite
from tests.sinks.test_sqlite import SqliteWorld

pytestmark = pytest.mark.slow

DROP_ROWS = """
create function drop_row() returns trigger language plpgsql as $$ begin return null; end $$;
"""


class Dropping:
    """A database, and a trigger that drops the rows of a table whose id is `id`, at an event."""

    def __init__(self, world: Any, models: Any, run: Callable[[str], Any], *, is_postgres: bool) -> None:
        self.world = world
        self.models = models
        self.run = run
        self._is_postgres = is_postgres
        if is_postgres:
            run(DROP_ROWS)

    def drop(self, table: str, event: str, column: str, value: str) -> None:
        row = "old" if event == "delete" else "new"
        condition = f"when ({row}.{column} = {value})"
        if self._is_postgres:
            self.run(
                f"create trigger dropping before {event} on {table} for each row {condition} execute function drop_row()"
            )
        else:
            self.run(f"create trigger dropping before {event} on {table} {condition} begin select raise(ignore); end")


@pytest.fixture(params=["sqlite", "postgres"])
def dropping(request: pytest.FixtureRequest, tmp_path: Path) -> Dropping:
    """MySQL, MariaDB and DuckDB have no trigger that drops a row without an error."""
    if request.param == "postgres":
        pg: Postgres = request.getfixturevalue("pg")
        return Dropping(PostgresWorld(pg), ModelPostgres(pg), pg.run, is_postgres=True)
    run = partial(run_sqlite, tmp_path / "x.db")
    world, models = SqliteWorld(tmp_path / "x.db"), ModelSqlite("sql", tmp_path / "x.db")
    return Dropping(world, models, run, is_postgres=False)


@pytest.mark.parametrize("write", list(WriteMode))
def test_rows_that_a_trigger_drops_from_an_insert_are_counted(dropping: Dropping, write: WriteMode) -> None:
    load = Load(dropping.world, write)
    load.put((1, 1, "a"))
    dropping.drop("public_orders", "insert", "id", "3")
    prepared = load.prepare(rows((2, 1, "b"), (3, 1, "c")))
    with pytest.raises(LedgerMismatch, match=r"public_orders' took 1 rows instead of 2") as caught:
        load.commit(prepared)
    assert "trigger" in str(caught.value.hint)
    assert load.found() == [(1, 1, "a")]


def test_rows_that_a_trigger_drops_from_an_update_are_counted(dropping: Dropping) -> None:
    load = Load(dropping.world, WriteMode.UPSERT)
    load.put((1, 1, "a"), (2, 1, "b"))
    dropping.drop("public_orders", "update", "id", "2")
    with pytest.raises(LedgerMismatch, match="took 2 rows instead of 3"):
        load.put((1, 2, "a"), (2, 2, "b"), (3, 1, "c"))
    assert load.found() == [(1, 1, "a"), (2, 1, "b")]


@pytest.mark.parametrize("write", [WriteMode.UPSERT, WriteMode.REPLACE])
def test_rows_that_a_trigger_keeps_from_being_deleted_are_counted(dropping: Dropping, write: WriteMode) -> None:
    load = Load(dropping.world, write)
    load.put((1, 1, "a"), (2, 1, "b"))
    dropping.drop("public_orders", "delete", "id", "2")
    erase, replace = partial(load.erase, [(1,), (2,)], "delete"), partial(load.put, (3, 1, "c"))
    with pytest.raises(LedgerMismatch, match="public_orders"):
        (erase if write is WriteMode.UPSERT else replace)()
    assert load.found() == [(1, 1, "a"), (2, 1, "b")]


def test_tombstones_that_a_trigger_drops_are_counted(dropping: Dropping) -> None:
    load = Load(dropping.world, WriteMode.UPSERT)
    load.put((1, 1, "a"), (2, 1, "b"))
    dropping.drop("public_orders", "update", "id", "2")
    with pytest.raises(LedgerMismatch, match="took 1 rows instead of 2"):
        load.erase([(1,), (2,)], "tombstone")


@pytest.mark.parametrize("event", ["insert", "update"])
def test_rows_of_models_that_a_trigger_drops_are_counted(
    dropping: Dropping, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest_ray.sinks.databases.conflicts.PAUSE_S", 0)
    pages = Pages(dropping.models)
    pages.put(("p", 1, ["a"]))
    table = "cdm_doc_link" if isinstance(dropping.world, SqliteWorld) else "cdm_doc.cdm_doc_link"
    dropping.drop(table, event, "_source_key", "'q'" if event == "insert" else "'p'")
    with pytest.raises(LedgerMismatch, match="cdm_doc_link' took"):
        pages.put(("p", 2, ["a"]), ("q", 1, ["b"]))
    assert (pages.found(ITEM), pages.found(LINK)) == (["p@1"], ["p-a@1"])


def test_keys_that_an_earlier_append_has_doubled_are_still_merged(dropping: Dropping) -> None:
    appended = Load(dropping.world, WriteMode.APPEND)
    appended.put((1, 1, "a"))
    appended.put((1, 1, "a"))
    load = Load(dropping.world, WriteMode.UPSERT, epoch=2, sequence=2)
    assert load.put((1, 2, "b"), (2, 1, "c")).rows_committed == 2
    assert load.found() == [(1, 2, "b"), (1, 2, "b"), (2, 1, "c")]


# units that share a table


@pytest.fixture(params=["sqlite", "duckdb", "postgres", "mariadb"])
def models(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "postgres":
        return ModelPostgres(request.getfixturevalue("pg"))
    if request.param == "mariadb":
        return ModelMaria(request.getfixturevalue("mariadb"))
    return ModelSqlite("sql", tmp_path / "x.db") if request.param == "sqlite" else ModelDuckDb(tmp_path / "x.duckdb")


ROUNDS = 4


def test_units_that_commit_equal_ids_at_the_same_time_all_succeed(models: Any) -> None:
    units = [Pages(models, unit=f"wiki.{name}") for name in ("a", "b", "c")]
    failures: list[BaseException] = []
    together = threading.Barrier(len(units))

    def commit(pages: Pages, versions: list[int]) -> None:
        try:
            for number, version in enumerate(versions):
                ids = [(f"p{(index + version) % 20}", version, ["l"]) for index in range(20)]
                ids += [(f"round{number}-{index}", version, []) for index in range(20)]
                groups = pages.prepare(*ids)
                together.wait(60)
                pages.commit(groups)
        except BaseException as error:
            failures.append(error)
            together.abort()

    threads = [
        threading.Thread(target=commit, args=(pages, [3 * number + 1 + index for number in range(ROUNDS)]))
        for index, pages in enumerate(units)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    assert failures == []
    newest = 3 * ROUNDS
    shared = [f"p{index}@{newest}" for index in range(20)]
    per_round = [f"round{number}-{index}@{3 * number + 3}" for number in range(ROUNDS) for index in range(20)]
    assert units[0].found(ITEM) == sorted(shared + per_round)
    assert units[0].found(LINK) == sorted(f"p{index}-l@{newest}" for index in range(20))


def test_a_constraint_that_rows_can_never_fulfil_is_named(pg: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_ray.sinks.databases.conflicts.PAUSE_S", 0)
    pages = Pages(ModelPostgres(pg))
    pages.put(("p", 1, []))
    pg.run("create unique index mine on cdm_doc.cdm_doc_item (source_system)")
    with pytest.raises(SinkRejected, match="mine"):
        pages.put(("q", 1, []))
