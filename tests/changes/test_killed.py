"""A short campaign of kills; the long one runs under `faults`."""

from pathlib import Path

import pytest

from ingest_ray.testing.servers.postgres import Postgres
from tests.changes.kill_campaign import Campaign


@pytest.mark.slow
def test_killed_runs_apply_every_change_once(tmp_path: Path, pg: Postgres) -> None:
    campaign = Campaign(tmp_path, pg, seed=5)
    campaign.run(2)
    assert sum(campaign.kills.values()) == 2


@pytest.mark.faults
def test_killed_runs_of_a_long_campaign_apply_every_change_once(tmp_path: Path, pg: Postgres) -> None:
    campaign = Campaign(tmp_path, pg, seed=1)
    campaign.run(60)
    assert campaign.kills["too late"] < 30
