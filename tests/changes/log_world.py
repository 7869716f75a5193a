"""A table of a real PostgreSQL whose changes are read from its log into a sink, and the rows of both."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ingest_ray.engine.steps.unit_layout import unit_key_of
from ingest_ray.kv import open_state
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.contracts import ChangeLog, capability
from ingest_ray.sdk.types import Endpoint, RunMode
from ingest_ray.state import read_states
from ingest_ray.testing.servers.postgres import Postgres
from tests.verify.table_world import TableWorld, counts, postgres_world


@contextmanager
def log_world(folder: Path, server: Postgres, unit: str = "t", **options: Any) -> Iterator[TableWorld]:
    """Its slot is dropped at the end: a server keeps its log for each."""
    world = postgres_world(folder, server, unit, **{"mode": RunMode.CHANGES, "policy": {}, **options})
    try:
        yield world
    finally:
        drop_slots(server)


def drop_slots(server: Postgres) -> None:
    server.run(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database() AND NOT active"
    )


def slots(server: Postgres) -> list[str]:
    return [
        row[0] for row in server.run("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()")
    ]


def log_of(world: TableWorld) -> ChangeLog:
    return capability(strategy_for(world.endpoint.template), ChangeLog)


def known_of(world: TableWorld) -> Any:
    order = world.order()
    return read_states(open_state(order.settings), unit_key_of(order)).segments


def assert_equal(world: TableWorld) -> None:
    report = world.verify(with_values=True)
    assert counts(report) == (0, 0, 0, 0), report


def with_sink(world: TableWorld, sink: Endpoint | None) -> TableWorld:
    return replace(world, sink=sink)
