"""A short campaign of kills; the long one runs under `faults`."""

from pathlib import Path

import pytest

from ingest_ray.testing.servers.mariadb import MariaDatabase
from ingest_ray.testing.servers.postgres import Postgres
from tests.changes.kill_campaign import Campaign
from tests.changes.shared.binlog_kill_campaign import BinlogCampaign


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


@pytest.mark.faults
def test_killed_runs_of_a_history_of_changes_leave_one_current_row_of_each_key(tmp_path: Path, pg: Postgres) -> None:
    campaign = Campaign(tmp_path, pg, seed=2, write="history")
    campaign.run(20)
    assert campaign.kills["too late"] < 20  # a small log has few of the steps


@pytest.mark.slow
def test_killed_runs_of_mariadb_apply_every_change_once(tmp_path: Path, maria_log: MariaDatabase) -> None:
    campaign = BinlogCampaign(folder=tmp_path, server=maria_log, seed=3, tables=("t", "u"))
    campaign.run(1)
    assert campaign.kills


@pytest.mark.faults
def test_killed_runs_of_a_long_campaign_of_mariadb_apply_every_change_once(
    tmp_path: Path, maria_log: MariaDatabase
) -> None:
    campaign = BinlogCampaign(folder=tmp_path, server=maria_log, seed=1)
    campaign.run(60)
    assert campaign.kills["too late"] < 30
