"""Runs of workflows with real parts: a Temporal server, a Ray head with its Jobs API, a PostgreSQL, a Delta lake."""

import json
from collections import Counter
from pathlib import Path

import pytest

from ingest_ray.models import RunState, RunSummary
from tests.temporal.conftest import PlantMaker

pytestmark = [pytest.mark.services, pytest.mark.cluster]
ORDERS = "public.orders"


def test_a_run_lands_a_table_and_a_second_one_moves_nothing(shop: PlantMaker) -> None:
    plant = shop(3000)
    with plant.worker():
        first = plant.run(ORDERS)
        name = plant.start(ORDERS)
        second = plant.result(name)
    assert (first.state, first.statistics.rows_committed) == (RunState.SUCCEEDED, 3000)
    assert second.statistics.rows_read == 0
    assert plant.ids(ORDERS) == Counter(range(1, 3001))
    assert first.checkpoint.segments == 1
    assert list(first.checkpoint.watermarks.values()) != [None]
    manifest = RunSummary.model_validate(json.loads(Path(first.manifest_uri).read_text()))
    assert (manifest.run_id, manifest.rows.committed) == (first.run_id, 3000)
    history = plant.history(name)
    print(history)
    assert history.events < 40
    assert history.bytes < 16 * 1024
