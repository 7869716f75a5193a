"""Keys of SQL sinks that are longer than an index of their database takes."""

import random
import string

import pyarrow as pa
import pytest

from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import WriteMode
from ingest_ray.testing.servers.mariadb import MariaDatabase
from ingest_ray.testing.servers.postgres import Postgres
from ingest_ray.testing.suites.sink_harness import Load, piece, rows
from tests.sinks.test_mariadb import MariaWorld
from tests.sinks.test_postgres import PostgresWorld

INDEXES = "select indexdef from pg_indexes where tablename = 'public_orders'"


def long_key(seed: int) -> str:
    """Random: the database compresses a key before it compares it with its limit."""
    return "".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=6_000))


@pytest.mark.parametrize("key", [("text",), ("id", "text")])
def test_long_keys_that_a_first_load_landed_are_merged_later(pg: Postgres, key: tuple[str, ...]) -> None:
    load = Load(PostgresWorld(pg), WriteMode.UPSERT, key=key)
    load.put((1, 1, long_key(1)), (2, 1, long_key(2)), first=True)
    load.put((1, 2, long_key(1)), (3, 1, long_key(3)))
    load.put((3, 2, long_key(3)), (4, 1, "short"))
    wanted = [(1, 2, long_key(1)), (2, 1, long_key(2)), (3, 2, long_key(3)), (4, 1, "short")]
    assert load.found() == wanted
    assert [" USING hash " in index for (index,) in pg.run(INDEXES)] == [True] * len(key)


@pytest.mark.parametrize("first", [True, False])
def test_a_long_key_that_comes_after_short_ones_replaces_their_index(pg: Postgres, first: bool) -> None:
    load = Load(PostgresWorld(pg), WriteMode.UPSERT, key=("text",))
    load.put((1, 1, "a"))
    load.put((1, 2, "a"), (2, 1, "b"))
    assert [" USING btree " in index for (index,) in pg.run(INDEXES)] == [True]
    load.put((3, 1, long_key(3)), first=first)
    load.put((3, 2, long_key(3)), (1, 3, "a"))
    assert load.found() == [(1, 3, "a"), (2, 1, "b"), (3, 2, long_key(3))]
    assert load.erase([(long_key(3),), ("b",)], "delete") == 2
    assert [" USING hash " in index for (index,) in pg.run(INDEXES)] == [True]


def test_an_index_of_another_program_is_left_alone_and_named(pg: Postgres) -> None:
    load = Load(PostgresWorld(pg), WriteMode.UPSERT, key=("text",))
    pg.run("create index mine on public_orders (text)")
    load.put((1, 1, "a"))
    with pytest.raises(SinkRejected, match='"mine"') as caught:
        load.put((2, 1, long_key(2)))
    assert "hash index" in str(caught.value.hint)
    load.sequence = 1
    pg.run("drop index mine")
    load.put((2, 1, long_key(2)))


def test_a_key_of_many_texts_has_an_index_within_the_servers_limit(mariadb: MariaDatabase) -> None:
    names = [f"k{number}" for number in range(18)]
    schema = pa.schema([(name, pa.string()) for name in names] + [("version", pa.int64())])
    load = Load(MariaWorld(mariadb), WriteMode.UPSERT, key=tuple(names), schema=schema)
    for version in (1, 2):
        batch = pa.RecordBatch.from_pylist([dict.fromkeys(names, "x" * 300) | {"version": version}], schema=schema)
        load.commit(load.sink.prepare(load.target, piece(version), schema, [batch]))
    (row,) = mariadb.run("select version from public_orders")
    assert row["version"] == 2


def test_a_long_key_is_merged_by_mariadb(mariadb: MariaDatabase) -> None:
    load = Load(MariaWorld(mariadb), WriteMode.UPSERT, key=("text",))
    load.put((1, 1, long_key(1)))
    load.commit(load.prepare(rows((1, 2, long_key(1)), (2, 1, long_key(2)))))
    assert load.found() == [(1, 2, long_key(1)), (2, 1, long_key(2))]
