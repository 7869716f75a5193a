"""SQL sinks that die at any statement of `open`, where DDL may commit by itself; and tables whose engine has no transactions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.sdk.contracts import ModelTable
from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import WriteMode
from ingest_ray.testing.servers.mariadb import MariaDatabase
from ingest_ray.testing.servers.postgres import Postgres
from ingest_ray.testing.suites.model_sink import LINK, Pages
from ingest_ray.testing.suites.sink_harness import Load, piece, rows
from tests.sinks.test_duckdb import DuckDbWorld, held_open
from tests.sinks.test_mariadb import MariaWorld
from tests.sinks.test_models import MariaWorld as ModelMaria
from tests.sinks.test_models import SqliteWorld as ModelSqlite
from tests.sinks.test_postgres import PostgresWorld
from tests.sinks.test_sql import Run, run_sqlite, sink_database
from tests.sinks.test_sqlite import SqliteWorld

__all__ = ["sink_database"]

NARROW = pa.schema([("id", pa.int64()), ("amount", pa.decimal128(9, 2))])
WIDE = pa.schema([("id", pa.int64()), ("amount", pa.decimal128(18, 4)), ("note", pa.string()), ("more", pa.int64())])


class Crash(Exception):
    """Stands for the end of the process."""


class _CrashingSession:
    """Raises before or after one of the statements that change a table or its record; what was not committed then is rolled back."""

    def __init__(self, session: Any, count: Callable[[], bool], *, is_after: bool) -> None:
        self._session = session
        self._is_last = count
        self._is_after = is_after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def execute(self, sql: str, *values: str | int) -> Any:
        is_last = sql.startswith(("create ", "alter ")) or " set shape" in sql
        is_last = is_last and self._is_last()
        if is_last and not self._is_after:
            raise Crash
        result = self._session.execute(sql, *values)
        if is_last:
            raise Crash
        return result


def crash_at_statement(sink: Any, number: int, *, is_after: bool) -> None:
    """Makes the sink's process end at one of its DDL statements or records of columns."""
    database, executed = sink._db, 0
    transaction = database.transaction

    def is_last() -> bool:
        nonlocal executed
        executed += 1
        return executed == number

    @contextmanager
    def crashing() -> Iterator[Any]:
        with transaction() as session:
            yield _CrashingSession(session, is_last, is_after=is_after)

    database.transaction = crashing


def crash_everywhere(make: Callable[[], Any], use: Callable[[Any], None], check: Callable[[], None]) -> int:
    """Ends `use` at each of these statements in turn, and executes it again as another process would. Returns how many there were."""
    for number in range(1, 60):
        was_reached = False
        for is_after in (False, True):
            sink = make()
            crash_at_statement(sink, number, is_after=is_after)
            try:
                use(sink)
            except Crash:
                was_reached = True
            use(make())
            check()
        if not was_reached:
            return number - 1
    raise AssertionError("a sink is opened with fewer statements")


@pytest.fixture
def reopened_database(sink_database: tuple[Any, Run]) -> Iterator[tuple[Any, Run]]:
    """It is opened hundreds of times."""
    world, _ = sink_database
    with held_open(world._path) if isinstance(world, DuckDbWorld) else nullcontext():
        yield sink_database


@pytest.mark.slow
@pytest.mark.parametrize("is_evolved", [False, True])
def test_a_sink_that_dies_at_any_statement_of_open_is_opened_by_the_next_run(
    reopened_database: tuple[Any, Run], is_evolved: bool
) -> None:
    world, run = reopened_database
    load = Load(world, WriteMode.APPEND, schema=NARROW, version=None)

    def reset() -> None:
        run("drop table public_orders")
        run("delete from _ingest_ledger")
        if is_evolved:
            load.sink.open(load.target, NARROW, 1)
            put(load, NARROW, 1)

    def check() -> None:
        put(load, WIDE, 2)
        found = [(row["id"], row["note"]) for row in world.read_all(load.target)]
        assert sorted(found) == ([(1, None), (2, "x")] if is_evolved else [(2, "x")])
        reset()

    reset()
    assert crash_everywhere(world.open, lambda sink: sink.open(load.target, WIDE, 2), check) >= 4


def put(load: Load, schema: pa.Schema, number: int) -> None:
    """Commits one row, which has every column of the schema."""
    row = {"id": number, "amount": None, "note": "x", "more": 2**40}
    batch = pa.RecordBatch.from_pylist([{name: row[name] for name in schema.names}], schema=schema)
    load.slices += 1
    prepared = load.sink.prepare(load.target, piece(load.slices), schema, [batch])
    load.sink.commit(load.target, schema, number, number, [prepared])


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "mariadb"])
def test_a_model_table_is_made_by_the_next_run_where_a_process_dies_at_any_statement(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    world: Any = ModelSqlite("sql", tmp_path / "x.db")
    run: Run = partial(run_sqlite, tmp_path / "x.db")
    if database == "mariadb":
        mariadb = request.getfixturevalue("mariadb")
        world, run = ModelMaria(mariadb), mariadb.run
    pages = Pages(world)
    table = pages.tables[1]
    narrow = ModelTable(table.target, pa.schema([field for field in table.schema if field.name != "properties"]))

    def reset() -> None:
        run("drop table cdm_doc_link")
        run("delete from cdm_doc_item")
        run("delete from _ingest_ledger where app_id <> 'cdm-table:cdm_doc_item'")

    def provision_and_evolve(sink: Any) -> None:
        sink.provision(narrow)
        sink.provision(table)

    def check() -> None:
        pages.sink = world.open()
        assert pages.sink.open(pages.tables, 2) == 0
        pages.epoch, pages.sequence = 2, 0
        pages.put(("p", 1, ["a"]))
        assert pages.found(LINK) == ["p-a@1"]
        reset()

    reset()
    assert crash_everywhere(world.open, provision_and_evolve, check) >= 7


def test_a_table_that_appears_after_the_intent_and_has_rows_is_left_alone(mariadb: MariaDatabase) -> None:
    world = MariaWorld(mariadb)
    load = Load(world, WriteMode.APPEND)
    mariadb.run("drop table public_orders")
    mariadb.run("delete from _ingest_ledger")
    sink = world.open()
    crash_at_statement(sink, 3, is_after=True)  # after the ledger's and the intent: CREATE TABLE
    with pytest.raises(Crash):
        sink.open(load.target, load.schema, 2)
    mariadb.run("drop table public_orders")
    mariadb.run("create table public_orders (id bigint, version bigint, text longtext) engine = InnoDB")
    mariadb.run("insert into public_orders values (1, 1, 'not ours')")
    with pytest.raises(SinkRejected, match="did not make it"):
        world.open().open(load.target, load.schema, 3)


# engines without transactions


@pytest.mark.parametrize("engine", ["Aria", "MyISAM"])
def test_tables_have_an_engine_with_transactions_whatever_the_servers_default_is(
    mariadb: MariaDatabase, engine: str
) -> None:
    mariadb.run(f"set global default_storage_engine = {engine}")
    try:
        load = Load(MariaWorld(mariadb), WriteMode.UPSERT)
        load.prepare(rows((1, 1, "a")))
        pages = Pages(ModelMaria(mariadb))
        pages.prepare(("p", 1, ["a"]))
    finally:
        mariadb.run("set global default_storage_engine = InnoDB")
    found = mariadb.run(
        "select table_name as name, engine as engine from information_schema.tables where table_schema = database()"
    )
    assert len(found) == 7
    assert {row["engine"] for row in found} == {"InnoDB"}, found


@pytest.mark.parametrize("table", ["_ingest_ledger", "public_orders"])
def test_an_existing_table_without_transactions_is_refused_by_name(mariadb: MariaDatabase, table: str) -> None:
    load = Load(MariaWorld(mariadb), WriteMode.UPSERT)
    mariadb.run(f"alter table {table} engine = Aria")
    with pytest.raises(SinkRejected, match=f"{table}'.*Aria") as caught:
        load.sink.open(load.target, load.schema, 2)
    assert f"ALTER TABLE `{table}` ENGINE = InnoDB" in str(caught.value.hint)
    mariadb.run(f"alter table {table} engine = InnoDB")
    load.sink.open(load.target, load.schema, 2)


@pytest.mark.parametrize("table", ["_ingest_ledger", "cdm_doc_link"])
def test_an_existing_model_table_without_transactions_is_refused_by_name(mariadb: MariaDatabase, table: str) -> None:
    pages = Pages(ModelMaria(mariadb))
    mariadb.run(f"alter table {table} engine = Aria")
    with pytest.raises(SinkRejected, match=f"{table}'.*Aria"):
        pages.sink.open(pages.tables, 2)


@pytest.mark.parametrize("table", ["_ingest_ledger", "public_orders"])
def test_an_unlogged_table_of_postgres_is_refused_by_name(pg: Postgres, table: str) -> None:
    load = Load(PostgresWorld(pg), WriteMode.UPSERT)
    pg.run(f"alter table {table} set unlogged")
    with pytest.raises(SinkRejected, match=f"{table}.*unlogged") as caught:
        load.sink.open(load.target, load.schema, 2)
    assert f'ALTER TABLE "public"."{table}" SET LOGGED' in str(caught.value.hint)


def test_an_old_ledger_row_without_an_intent_is_read(tmp_path: Any) -> None:
    load = Load(SqliteWorld(tmp_path / "x.db"), WriteMode.APPEND)
    database = load.sink._db  # type: ignore[attr-defined]
    with database.transaction() as session:
        ((text,),) = session.execute("select shape from _ingest_ledger")
    assert "intended" not in text
    load.reopen()
