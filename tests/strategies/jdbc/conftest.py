"""Real databases, and one call that makes a unit of a table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.registry import strategy_for
from ingest_ray.sdk.types import Endpoint, Learned, Policy, RunMode, UnitConfig, UnitSpec
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.servers.postgres import Postgres

SMALL = 64 * 1024
Unit = Callable[..., Rehearsal]


def rehearsal(endpoint: Endpoint, name: str, rows_per_slice: int, mode: RunMode, **policy: Any) -> Rehearsal:
    """Without a look-back unless one is given: most tests count what one run reads."""
    policy.setdefault("lookback", 0)
    strategy = strategy_for(endpoint.template)
    dataset = next(dataset for dataset in strategy.collect(endpoint) if dataset.name == name)
    config = UnitConfig(
        endpoint_id=endpoint.endpoint_id,
        unit_id=name,
        sink_id="s",
        run_mode=mode,
        policy=Policy(target_slice_bytes=SMALL, **policy),
    )
    learned = Learned(bytes_per_row=SMALL / rows_per_slice)
    return Rehearsal(strategy, UnitSpec(endpoint=endpoint, dataset=dataset, config=config, learned=learned))


@pytest.fixture
def pg_unit(pg: Postgres) -> Unit:
    """`pg_unit("t", cursor="ts")`: incremental where a cursor is given."""

    def make(name: str, rows_per_slice: int = 10, **policy: Any) -> Rehearsal:
        endpoint = Endpoint(endpoint_id="pg", template="jdbc.postgres", config={"url": pg.url})
        mode = RunMode.INCREMENTAL if policy.get("cursor") else RunMode.FULL
        return rehearsal(endpoint, f"public.{name}", rows_per_slice, mode, **policy)

    return make


@pytest.fixture
def lite_unit() -> Unit:
    def make(path: Path, name: str, rows_per_slice: int = 10, **policy: Any) -> Rehearsal:
        options = policy.pop("options", {})
        endpoint = Endpoint(endpoint_id="lite", template="jdbc.sqlite", config={"path": str(path), **options})
        mode = RunMode.INCREMENTAL if policy.get("cursor") else RunMode.FULL
        return rehearsal(endpoint, name, rows_per_slice, mode, **policy)

    return make
