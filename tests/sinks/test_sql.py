"""The SQL sinks beyond the common suite: names, ownership of tables, lost answers, wrong settings, stages of dead runs."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import adbc_driver_manager
import pyarrow as pa
import pytest

from ingest_ray.registry import open_sink
from ingest_ray.sdk.contracts import ProgressReader, Sink, SinkProgress
from ingest_ray.sdk.errors import CommitUnknown, ConfigError, SinkRejected, SinkUnavailable
from ingest_ray.sdk.types import Endpoint, Target, WriteMode
from ingest_ray.sinks.databases.postgres.database import PostgresDatabase
from ingest_ray.sinks.databases.table_names import NAME_BYTES, unit_table_name
from ingest_ray.sinks.templates import SqlConfig
from ingest_ray.testing.servers.mariadb import MariaDatabase
from ingest_ray.testing.servers.postgres import Postgres
from ingest_ray.testing.suites.sink import SCHEMA, Load, piece, rows
from tests.forks import run_code
from tests.sinks.test_duckdb import DuckDbWorld
from tests.sinks.test_mariadb import MariaWorld
from tests.sinks.test_postgres import PostgresWorld
from tests.sinks.test_sqlite import SqliteWorld

pytestmark = pytest.mark.slow

Run = Callable[[str], Any]


@pytest.fixture(params=["sqlite", "duckdb", "postgres", "mariadb"])
def sink_database(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Run]:
    """A world, and a way to change its database by hand."""
    if request.param == "postgres":
        pg: Postgres = request.getfixturevalue("pg")
        return PostgresWorld(pg), pg.run
    if request.param == "mariadb":
        mariadb: MariaDatabase = request.getfixturevalue("mariadb")
        return MariaWorld(mariadb), mariadb.run
    if request.param == "sqlite":
        return SqliteWorld(tmp_path / "x.db"), lambda sql: run_sqlite(tmp_path / "x.db", sql)
    world = DuckDbWorld(tmp_path / "x.duckdb")
    return world, lambda sql: _run_duckdb(world, sql)


def run_sqlite(path: Path, sql: str) -> Any:
    connection = sqlite3.connect(path, isolation_level=None)
    found = connection.execute(sql).fetchall()
    connection.close()
    return found


def _run_duckdb(world: DuckDbWorld, sql: str) -> Any:
    with world._connected() as connection:
        return connection.execute(sql).fetchall()


def target(unit: str) -> Target:
    return Target(sink_id="s", endpoint_id="e", unit_id=unit, app_id=unit, write=WriteMode.APPEND)


@pytest.mark.parametrize(
    ("unit", "table"),
    [
        ("public.orders", "public_orders"),
        ("Orders", "Orders"),
        ("a b-c", "a_b_c"),
        ("_ingest_ledger", "t_ingest_ledger"),
        ("größe", "größe"),
        ("", ""),
    ],
)
def test_a_units_table_has_its_name(unit: str, table: str) -> None:
    assert unit_table_name(target(unit)) == table


def test_long_names_are_cut_and_stay_different() -> None:
    first, second = unit_table_name(target("ä" * 50 + "1")), unit_table_name(target("ä" * 50 + "2"))
    assert first != second
    assert max(len(first.encode()), len(second.encode())) <= NAME_BYTES


def test_two_units_that_would_write_one_table_are_refused(sink_database: tuple[Any, Run]) -> None:
    world, _ = sink_database
    Load(world, WriteMode.APPEND, unit="a.b").put((1, 1, "a"))
    with pytest.raises(SinkRejected, match=r"'a_b'.*another unit.*a\.b"):
        Load(world, WriteMode.APPEND, unit="a_b")
    with pytest.raises(SinkRejected, match="another unit"):
        Load(world, WriteMode.APPEND, unit="A.B")


def test_a_table_that_this_sink_did_not_make_is_left_alone(sink_database: tuple[Any, Run]) -> None:
    world, run = sink_database
    run("create table orders (id bigint)")
    run("insert into orders values (7)")
    with pytest.raises(SinkRejected, match="did not make it"):
        Load(world, WriteMode.REPLACE, unit="orders")
    assert [tuple(row.values()) if isinstance(row, dict) else tuple(row) for row in run("select * from orders")] == [
        (7,)
    ]


def test_a_column_that_was_dropped_by_hand_is_named(sink_database: tuple[Any, Run]) -> None:
    world, run = sink_database
    load = Load(world, WriteMode.APPEND, unit="orders")
    load.put((1, 1, "a"))
    run("alter table orders drop column version")
    with pytest.raises(SinkRejected, match=r"'version' is gone.*changed by hand"):
        load.sink.open(load.target, SCHEMA, 1)


def test_a_column_that_was_retyped_by_hand_is_named(sink_database: tuple[Any, Run]) -> None:
    world, run = sink_database
    if isinstance(world, SqliteWorld):
        pytest.skip("SQLite cannot change a column's type")
    load = Load(world, WriteMode.APPEND, unit="orders")
    is_maria = isinstance(world, MariaWorld)
    run(f"alter table orders {'modify version varchar(20)' if is_maria else 'alter column version type varchar(20)'}")
    with pytest.raises(SinkRejected, match=r"(?i)'version' is (varchar|character).*changed by hand"):
        load.sink.open(load.target, SCHEMA, 1)


def test_a_table_that_was_dropped_is_made_again_or_refused_but_never_half_written(
    sink_database: tuple[Any, Run],
) -> None:
    world, run = sink_database
    load = Load(world, WriteMode.APPEND, unit="orders")
    prepared = load.prepare(rows((1, 1, "a")))
    run("drop table orders")
    with pytest.raises(SinkRejected):
        load.commit(prepared)
    load.sequence = 0
    assert load.sink.open(load.target, SCHEMA, 1) == 0
    load.commit(load.prepare(rows((1, 1, "a"))))
    assert load.found() == [(1, 1, "a")]


def test_a_column_that_somebody_added_is_left_alone(sink_database: tuple[Any, Run]) -> None:
    world, run = sink_database
    load = Load(world, WriteMode.UPSERT, unit="orders")
    load.put((1, 1, "a"))
    run("alter table orders add column mine varchar(9)")
    run("update orders set mine = 'x'")
    load.sink.open(load.target, SCHEMA, 1)
    load.put((1, 2, "b"), (2, 1, "c"))
    assert {row["id"]: row["mine"] for row in world.read_all(load.target)} == {1: "x", 2: None}


def test_stages_of_dead_runs_are_swept_when_a_newer_epoch_opens(sink_database: tuple[Any, Run]) -> None:
    world, _ = sink_database
    dead, other = Load(world, WriteMode.APPEND, run="dead"), Load(world, WriteMode.APPEND, unit="other", run="dead")
    lost, kept = dead.prepare(rows((1, 1, "lost"))), other.prepare(rows((1, 1, "kept")))
    Load(world, WriteMode.APPEND, run="next", epoch=2)
    database = dead.sink._db  # type: ignore[attr-defined]
    assert database.list_stages("_ingest_stage_") == [kept.payload["stage"]]
    assert lost.payload["stage"] != kept.payload["stage"]
    other.commit(kept)
    assert other.found() == [(1, 1, "kept")]
    assert database.list_stages("_ingest_stage_") == []


def test_a_reader_is_not_stopped_by_a_commit_that_goes_on(sink_database: tuple[Any, Run]) -> None:
    world, _ = sink_database
    if isinstance(world, DuckDbWorld):
        pytest.skip("a DuckDB file is open in one process at a time")
    load = Load(world, WriteMode.REPLACE)
    load.put((1, 1, "old"))
    database = load.sink._db  # type: ignore[attr-defined]
    with database.transaction() as session:
        session.execute(f"delete from {database.quoted_table(unit_table_name(load.target))}")
        assert load.found() == [(1, 1, "old")]
        session.execute(
            f"insert into {database.quoted_table(unit_table_name(load.target))} select * from {database.quoted_table(unit_table_name(load.target))}"
        )
    assert load.found() == []


def test_a_commit_waits_for_the_one_before_it(sink_database: tuple[Any, Run]) -> None:
    world, _ = sink_database
    if isinstance(world, DuckDbWorld):
        pytest.skip("DuckDB does not wait: the second transaction fails and is tried again")
    load = Load(world, WriteMode.APPEND)
    prepared = load.prepare(rows((1, 1, "a")))
    sink = load.sink
    ends = []
    with sink._db.transaction() as session:  # type: ignore[attr-defined]
        sink._ledger.lock_entry(session, load.target, unit_table_name(load.target), 1)  # type: ignore[attr-defined]
        late = threading.Thread(target=lambda: ends.append(load.commit(prepared)))
        late.start()
        late.join(0.3)
        assert late.is_alive()
    late.join(60)
    assert [end.rows_committed for end in ends] == [1]


# settings


def test_the_registry_opens_it_and_hides_its_password(pg: Postgres) -> None:
    config: dict[str, Any] = {"url": pg.url.replace("postgres@", "postgres:hush@"), "password": "hush2"}
    sink = open_sink(Endpoint(endpoint_id="warehouse", template="sql", config=config))
    assert "hush" not in sink.location(target("public.orders"))
    assert "hush" not in repr(SqlConfig(**config).model_dump(exclude={"url"}))
    assert sink.is_empty(target("public.orders"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("oracle://x/y", "oracle"),
        ("sqlite://", "needs a file"),
        ("mysql://root@h", "names no database"),
        ("mysql://h/d?x=1", "'x'"),
    ],
)
def test_a_wrong_url_is_the_users_mistake(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_sink(Endpoint(endpoint_id="w", template="sql", config={"url": url}))


def _at(url: str) -> Sink:
    return open_sink(Endpoint(endpoint_id="w", template="sql", config={"url": url, "password": "hush"}))


@pytest.mark.parametrize("url", ["postgresql://u@127.0.0.1:1/x", "mysql://u@127.0.0.1:1/x"])
def test_a_server_that_does_not_answer_is_tried_again(url: str) -> None:
    with pytest.raises(SinkUnavailable, match=r"127\.0\.0\.1") as caught:
        _at(url).is_empty(target("a"))
    assert "hush" not in str(caught.value)


def test_a_login_that_is_refused_is_the_users_mistake(mariadb: MariaDatabase) -> None:
    with pytest.raises(ConfigError, match="refused") as caught:
        _at(mariadb.url).is_empty(target("a"))
    assert "hush" not in str(caught.value)


def test_a_database_that_is_not_there_is_named(pg: Postgres) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        _at(pg.url.replace(pg.name, "nowhere")).is_empty(target("a"))


def test_a_missing_grant_is_said(pg: Postgres) -> None:
    pg.run("create role writer login")
    sink = open_sink(Endpoint(endpoint_id="w", template="sql", config={"url": pg.url_of("writer")}))
    with pytest.raises(SinkRejected, match="permission denied") as caught:
        sink.open(target("a"), SCHEMA, 1)
    assert "grant" in str(caught.value.hint)


def test_tables_go_into_the_schema_that_was_named(pg: Postgres) -> None:
    pg.run('create schema "Lake House"')
    config = {"url": pg.url, "schema": "Lake House"}
    sink = open_sink(Endpoint(endpoint_id="w", template="sql", config=config))
    sink.open(target("public.orders"), SCHEMA, 1)
    prepared = sink.prepare(target("public.orders"), piece(1), SCHEMA, [rows((1, 1, "a"))])
    sink.commit(target("public.orders"), SCHEMA, 1, 1, [prepared])
    assert pg.run('select id from "Lake House".public_orders') in ([[1]], [(1,)])
    assert sink.location(target("public.orders")).endswith("#Lake House.public_orders")


# answers that are lost, values that do not fit


def test_an_answer_lost_in_a_commit_is_unknown_and_the_ledger_knows(
    pg: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Load(PostgresWorld(pg), WriteMode.APPEND)
    prepared = load.prepare(rows((1, 1, "a")))
    real = PostgresDatabase._commit

    class Lossy:
        def __init__(self, connection: Any) -> None:
            self._connection = connection

        def commit(self) -> None:
            self._connection.commit()
            raise adbc_driver_manager.OperationalError(
                "server closed the connection", status_code=adbc_driver_manager.AdbcStatusCode.IO
            )

    with monkeypatch.context() as patched:
        patched.setattr(PostgresDatabase, "_commit", lambda self, connection: real(self, Lossy(connection)))
        with pytest.raises(CommitUnknown, match="lost while it committed"):
            load.commit(prepared)
    assert load.sink.open(load.target, SCHEMA, 1) == 1
    assert load.sink.commit(load.target, SCHEMA, 1, 1, [prepared]).rows_committed == 1
    assert load.found() == [(1, 1, "a")]


def test_a_server_that_goes_away_in_the_middle_undoes_everything(pg: Postgres) -> None:
    load = Load(PostgresWorld(pg), WriteMode.APPEND)
    load.put((1, 1, "a"))
    database = load.sink._db  # type: ignore[attr-defined]
    others = "pid <> pg_backend_pid() and datname = current_database()"

    def torn() -> None:
        with database.transaction() as session:
            session.execute(f"delete from {database.quoted_table(unit_table_name(load.target))}")
            pg.run(f"select pg_terminate_backend(pid) from pg_stat_activity where {others}")
            session.execute("select 1")

    with pytest.raises(SinkUnavailable):
        torn()
    assert load.found() == [(1, 1, "a")]


def test_a_zero_character_is_refused_by_postgres_and_nothing_is_left(pg: Postgres) -> None:
    load = Load(PostgresWorld(pg), WriteMode.APPEND)
    with pytest.raises(SinkRejected, match="0x00"):
        load.prepare(rows((1, 1, "a\0b")))
    assert load.sink._db.list_stages("_ingest_stage_") == []  # type: ignore[attr-defined]


def test_a_number_that_is_none_is_refused_by_name(mariadb: MariaDatabase) -> None:
    schema = pa.schema([("id", pa.int64()), ("price", pa.float64())])
    load = Load(MariaWorld(mariadb), WriteMode.APPEND, schema=schema)
    with pytest.raises(SinkRejected, match="'price'"):
        load.prepare(pa.record_batch([[1], [float("inf")]], schema=schema))


def test_a_duckdb_file_that_another_process_has_open_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = DuckDbWorld(tmp_path / "x.duckdb")
    load = Load(world, WriteMode.APPEND)
    prepared = load.prepare(rows((1, 1, "a")))
    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "x.duckdb")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"open\n"
    monkeypatch.setattr("ingest_ray.sinks.databases.duckdb.LOCK_WAIT_S", 0.2)
    try:
        with pytest.raises(SinkUnavailable, match="lock") as caught:
            load.commit(prepared)
        assert "another process" in str(caught.value.hint)
    finally:
        holder.communicate()
    load.sequence = 0
    load.commit(prepared)
    assert load.found() == [(1, 1, "a")]


def test_c31_a_process_killed_before_its_commit_leaves_the_table_as_it_was(
    sink_database: tuple[Any, Run], tmp_path: Path
) -> None:
    world, _ = sink_database
    load = Load(world, WriteMode.UPSERT)
    load.put((1, 1, "a"))
    if isinstance(world, PostgresWorld | MariaWorld):
        template, config = "sql", {"url": world.url}
    elif isinstance(world, SqliteWorld):
        template, config = "sql", {"url": f"sqlite:///{tmp_path / 'x.db'}"}
    else:
        template, config = "duckdb", {"path": str(tmp_path / "x.duckdb")}
    prepared = load.prepare(rows((1, 2, "b"), (2, 1, "c")))
    script = (
        "import os, signal, sys\n"
        "from ingest_ray.sdk.types import Endpoint, Prepared, Target\n"
        "from ingest_ray.registry import open_sink\n"
        "from ingest_ray.testing.suites.sink import SCHEMA\n"
        "import ingest_ray.sinks.databases.table_sink as sink\n"
        "sink.CommitLedger.record_commit = lambda *args: os.kill(os.getpid(), signal.SIGKILL)\n"
        "endpoint, target, prepared = sys.argv[1:]\n"
        "open_sink(Endpoint.model_validate_json(endpoint)).commit("
        "Target.model_validate_json(target), SCHEMA, 1, 2, [Prepared.model_validate_json(prepared)])\n"
    )
    endpoint = Endpoint(endpoint_id="w", template=template, config=dict(config))
    arguments = [endpoint.model_dump_json(), load.target.model_dump_json(), prepared.model_dump_json()]
    ended = run_code(script, *arguments)
    assert ended.returncode == -9
    assert load.found() == [(1, 1, "a")]
    load.commit(prepared)
    assert load.found() == [(1, 2, "b"), (2, 1, "c")]


def test_opening_a_sink_leaves_the_entry_points_as_they_were(tmp_path: Path) -> None:
    import ingest_ray.sinks.templates as families

    configs: dict[str, Any] = {
        "lake.delta": {"uri": str(tmp_path)},
        "sql": {"url": f"sqlite:///{tmp_path}/x.db"},
        "duckdb": {"path": f"{tmp_path}/x.duckdb"},
    }
    for template, config in configs.items():
        open_sink(Endpoint(endpoint_id="w", template=template, config=config))
    assert {family.descriptor.template for family in (families.delta, families.sql, families.duckdb)} == set(configs)


def test_a_table_that_was_dropped_is_no_target_although_the_ledger_has_its_commits(
    sink_database: tuple[Any, Run],
) -> None:
    world, run = sink_database
    load = Load(world, WriteMode.APPEND)
    load.put((1, 1, "a"))
    sink = world.open()
    assert isinstance(sink, ProgressReader)
    assert sink.read_progress(load.target) == SinkProgress(1, 1)
    run(f"drop table {unit_table_name(load.target)}")
    assert sink.read_progress(load.target) == SinkProgress(exists=False)
