"""One Ray head and one Temporal server for this folder; an installation with its own task queue for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.testing.servers.postgres import Postgres, pg, postgres_server
from tests.temporal.servers import RayHead, TemporalServer
from tests.temporal.worker_workspace import WorkerWorkspace

__all__ = ["pg", "postgres_server"]


@pytest.fixture(scope="package")
def head() -> Iterator[RayHead]:
    there = RayHead()
    yield there
    there.close()


@pytest.fixture(scope="package")
def temporal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    there = TemporalServer(tmp_path_factory.mktemp("temporal-server"))
    yield there
    there.kill()


PlantMaker = Callable[..., WorkerWorkspace]


@pytest.fixture
def scripted(tmp_path: Path, head: RayHead, temporal_server: TemporalServer) -> PlantMaker:
    """`scripted("numbers-1x1000", slice_rows=100)`: units from arithmetic."""

    def make(
        *units: str,
        job_env: dict[str, str] | None = None,
        policy: dict[str, Any] | None = None,
        inline_below: int = 2**29,
        more_settings: dict[str, Any] | None = None,
        **source: Any,
    ) -> WorkerWorkspace:
        source = {"units": list(units), "journal": str(tmp_path / "journal"), **source}
        rule = {"run_mode": "INCREMENTAL", "policy": {"cursor": "at", **(policy or {})}}
        endpoint = {"template": "testing.scripted", "config": source}
        workspace = WorkerWorkspace(tmp_path, head, temporal_server, endpoint, rule, job_env=job_env or {})
        workspace.more_settings = more_settings or {}
        workspace.inline_below = inline_below
        return workspace.set_up()

    return make


@pytest.fixture
def shop(tmp_path: Path, head: RayHead, temporal_server: TemporalServer, pg: Postgres) -> PlantMaker:
    """`shop(5000)`: a table `orders` with so many rows in a real PostgreSQL."""

    def make(rows: int, **more: Any) -> WorkerWorkspace:
        pg.run("CREATE TABLE orders (id bigint PRIMARY KEY, note text, updated_at timestamptz NOT NULL DEFAULT now())")
        pg.run(
            "INSERT INTO orders SELECT i, repeat('note ' || i, 40), timestamptz '2025-01-01' + i * interval '1 second' "
            f"FROM generate_series(1, {rows}) i"
        )
        pg.run("ANALYZE orders")
        endpoint = {"template": "jdbc.postgres", "config": {"url": pg.url, "schemas": ["public"]}}
        policy = {"cursor": "updated_at", "primary_key": ["id"], "write": "upsert", "target_slice_bytes": 65536}
        rule = {"run_mode": "INCREMENTAL", "policy": policy}
        return WorkerWorkspace(tmp_path, head, temporal_server, endpoint, rule, **more).set_up()

    return make
