"""A unit in run mode CHANGES whose load and rounds run on Ray."""

from pathlib import Path

import pytest

from ingest_ray.run import launch, placement
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.testing.servers.postgres import Postgres
from tests.changes.log_world import assert_equal, known_of, log_world
from tests.verify.table_world import TableWorld

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]


def run_on_ray(world: TableWorld) -> RunSummary:
    order = world.order()
    ray = order.settings.ray.model_copy(update={"inline_below": 0})
    settings = order.settings.model_copy(update={"ray": ray})
    (summary,) = launch([order.model_copy(update={"settings": settings})], lambda progress: None, lambda: False)
    assert summary.error is None
    assert summary.state is RunState.SUCCEEDED
    return summary


def test_changes_are_loaded_and_followed_on_ray(tmp_path: Path, pg: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "is_single_slice", lambda plan_summary: False)  # as on a cluster of other hosts
    pg.run("CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t SELECT i, 'n' FROM generate_series(1, 500) i")
    with log_world(tmp_path, pg) as world:
        loaded = run_on_ray(world)
        assert (loaded.executor, loaded.rows.committed) == ("ray", 500)
        pg.run(
            "DELETE FROM t WHERE id <= 10; UPDATE t SET id = id + 1000 WHERE id <= 20; INSERT INTO t VALUES (5, 'new')"
        )
        changed = run_on_ray(world)
        assert (changed.executor, changed.rows.read) == ("ray", 30)
        assert known_of(world)["all"].is_loaded
        assert_equal(world)
