"""The SQL sink on a real PostgreSQL."""

from typing import Any

import pytest

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.databases.conflicts import execute_transaction
from ingest_ray.sinks.databases.connect import open_sink
from ingest_ray.sinks.databases.table_names import unit_table_name
from ingest_ray.sinks.templates import SqlConfig
from ingest_ray.testing.servers.postgres import Postgres
from ingest_ray.testing.suites.sink import SinkSuite
from ingest_ray.testing.suites.sink_harness import Load, rows


class PostgresWorld:
    def __init__(self, pg: Postgres) -> None:
        self._pg = pg
        self.url = pg.url

    def open(self) -> Sink:
        return open_sink(SqlConfig(url=self._pg.url))

    def read_all(self, target: Target) -> list[dict[str, Any]]:
        connection = self._pg.connect()
        connection.register_in_adapter(114, str)  # json as the text that is stored
        cursor = connection.cursor()
        cursor.execute(f'select * from "{unit_table_name(target)}"')
        names = [column[0] for column in cursor.description]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        connection.close()
        return found


class TestPostgres(SinkSuite):
    world = pytest.fixture(lambda self, pg: PostgresWorld(pg))


@pytest.mark.parametrize(
    "made",
    ["create schema taken", "create table taken (a int)", "create type taken as enum ()"],
    ids=lambda sql: sql[7:13],
)
def test_what_another_transaction_made_first_is_tried_again(pg: Postgres, made: str) -> None:
    """Two of them that create the ledger at once: `if not exists` finds none, then its name is taken."""
    database = PostgresWorld(pg).open()._db  # type: ignore[attr-defined]
    with database.transaction() as session:
        session.execute(made)
    tries = []

    def create(session: Any) -> None:
        tries.append(made)
        session.execute(made if len(tries) < 3 else "select 1")

    execute_transaction(database, create)
    assert len(tries) == 3
    with pytest.raises(SinkRejected, match="already exists"), database.transaction() as session:
        session.execute(made)


def test_the_first_merge_makes_an_index_and_tells_the_planner_what_the_key_is_like(pg: Postgres) -> None:
    load = Load(PostgresWorld(pg), WriteMode.UPSERT)
    load.put(*((number, 1, "old") for number in range(500)), first=True)
    assert _indexes(pg, load.target) == []
    _run(pg, f'alter table "{unit_table_name(load.target)}" set (autovacuum_enabled = off)')
    merged = load.prepare(rows((7, 2, "new")), first=False)
    assert _statistics(pg, load.target) == []
    load.commit(merged)
    assert _statistics(pg, load.target) == [("id", -1.0)]
    assert len(_indexes(pg, load.target)) == 1
    _run(pg, f"delete from pg_statistic where starelid = '\"{unit_table_name(load.target)}\"'::regclass")
    load.commit(load.prepare(rows((8, 2, "new")), first=False))
    assert _statistics(pg, load.target) == []
    assert len(_indexes(pg, load.target)) == 1


def test_a_merge_into_somebody_elses_table_makes_no_index(pg: Postgres) -> None:
    load = Load(PostgresWorld(pg), WriteMode.UPSERT)
    load.put((1, 1, "old"), first=True)
    role = f"loader_{pg.name}"
    _run(pg, f'create role "{role}" login')
    _run(pg, f'grant create, usage on schema public to "{role}"')
    _run(pg, f'grant select, insert, update, delete on all tables in schema public to "{role}"')
    load.sink = open_sink(SqlConfig(url=pg.url_of(role)))
    load.commit(load.prepare(rows((1, 2, "new")), first=False))
    assert load.found() == [(1, 2, "new")]
    assert _indexes(pg, load.target) == []


def _indexes(pg: Postgres, target: Target) -> list[tuple[Any, ...]]:
    return _run(pg, f"select indexdef from pg_indexes where tablename = '{unit_table_name(target)}'")


def _statistics(pg: Postgres, target: Target) -> list[tuple[Any, ...]]:
    return _run(pg, f"select attname, n_distinct from pg_stats where tablename = '{unit_table_name(target)}'")


def _run(pg: Postgres, sql: str) -> list[tuple[Any, ...]]:
    connection = pg.connect()
    cursor = connection.cursor()
    cursor.execute(sql)
    found = [tuple(row) for row in cursor.fetchall()] if cursor.description else []
    connection.commit()
    connection.close()
    return found
