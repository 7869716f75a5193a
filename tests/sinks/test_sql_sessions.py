"""What a SQL sink says in every session, because an environment, a server or a database may have said otherwise."""

import datetime as dt
import uuid
from collections.abc import Iterator

import pytest

from ingest_ray.sdk.contracts import MisfitFinder
from ingest_ray.sdk.errors import RowsRejected
from ingest_ray.sdk.types import WriteMode
from ingest_ray.sinks.databases.postgres.database import PostgresDatabase
from ingest_ray.sinks.databases.types.postgres import POSTGRES_LIMITS
from ingest_ray.testing.servers.mariadb import MariaDatabase
from ingest_ray.testing.servers.postgres import Postgres
from ingest_ray.testing.suites.sink_harness import SCHEMA, Load, rows
from tests.sinks.test_mariadb import MariaWorld
from tests.sinks.test_postgres import PostgresWorld

WORDS = "Größe: 5 €, “naïve”"


@pytest.fixture
def win1252(pg: Postgres) -> Iterator[Postgres]:
    name = f"t_{uuid.uuid4().hex[:12]}"
    pg.run(f"CREATE DATABASE {name} ENCODING 'WIN1252' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    database = Postgres(pg.folder, name)
    yield database
    database.close()


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1251", "SQL_ASCII"])
def test_text_is_utf8_whatever_encoding_the_environment_says(
    pg: Postgres, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", encoding)
    load = Load(PostgresWorld(pg), WriteMode.UPSERT, key=("text",))
    load.put((1, 1, WORDS), (2, 1, "Ж"), first=True)
    load.put((3, 2, WORDS))
    assert load.found() == [(2, 1, "Ж"), (3, 2, WORDS)]
    assert sorted(key for batch in load.sink.keys(load.target, SCHEMA) for key in batch.column(0).to_pylist()) == [
        WORDS,
        "Ж",
    ]


def test_a_url_cannot_choose_another_encoding() -> None:
    url = PostgresDatabase("postgresql://u@/db?client_encoding=LATIN1&host=%2Ftmp%2Fx", None, None)._url
    assert url == "postgresql://u@/db?host=%2Ftmp%2Fx&client_encoding=UTF8"


def test_a_database_of_another_encoding_gets_the_characters_that_it_has(win1252: Postgres) -> None:
    load = Load(PostgresWorld(win1252), WriteMode.UPSERT)
    load.put((1, 1, WORDS))
    load.put((1, 2, WORDS), (2, 1, "plain"))
    assert load.found() == [(1, 2, WORDS), (2, 1, "plain")]
    assert isinstance(load.sink, MisfitFinder)
    batch = rows((3, 1, WORDS), (4, 1, "Ж"), (5, 1, "\x81"), (6, 1, None))
    assert {row: misfit.column for row, misfit in load.sink.find_misfits(SCHEMA, batch).items()} == {
        1: "text",
        2: "text",
    }
    load.commit(load.prepare(batch.slice(0, 1), batch.slice(3)))


def test_what_the_database_cannot_encode_is_refused_before_the_commit(
    win1252: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresDatabase, "limits", POSTGRES_LIMITS)
    load = Load(PostgresWorld(win1252), WriteMode.APPEND)
    for text in ("Ж", "\x81", "a\0b"):
        with pytest.raises(RowsRejected):
            load.prepare(rows((1, 1, WORDS), (2, 1, text)))
    load.put((1, 1, WORDS))
    assert load.found() == [(1, 1, WORDS)]


def test_the_variables_of_a_mysql_server_change_nothing(mariadb: MariaDatabase) -> None:
    changed = {
        "sql_mode": "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'",
        "time_zone": "'+05:00'",
        "character_set_client": "latin1",
        "character_set_connection": "latin1",
        "collation_connection": "latin1_swedish_ci",
        "sql_safe_updates": "1",
        "sql_big_selects": "0",
        "max_join_size": "10",
        "completion_type": "'CHAIN'",
        "max_allowed_packet": "65536",
    }
    listed = ", ".join(f"@@global.{name} as {name}" for name in changed)
    (before,) = mariadb.run(f"select {listed}")
    mariadb.run(f"alter database `{mariadb.name}` character set latin1")
    try:
        for name, value in changed.items():
            mariadb.run(f"set global {name} = {value}")
        load = Load(MariaWorld(mariadb), WriteMode.UPSERT, unit="größe.Ж")
        many = [(number, 1, f"{WORDS} \\ ' \" Ж {number} {'x' * 2_000}") for number in range(100)]
        load.put(*many, first=True)
        load.put(*((number, 2, text) for number, _, text in many[:50]))
    finally:
        for name, value in before.items():
            mariadb.run(f"set global {name} = {value!r}")
    assert load.found() == sorted([*((n, 2, text) for n, _, text in many[:50]), *many[50:]], key=repr)
    at = load.world.read_all(load.target)[0]["_ingest_at"]
    assert abs(at - dt.datetime.now(dt.UTC).replace(tzinfo=None)) < dt.timedelta(minutes=5)
