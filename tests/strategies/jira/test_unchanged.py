"""Which requests a run makes to a site on which nothing has changed since the last run."""

from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest

from ingest_ray.http.errors import BadRequest
from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_strategies.jira.api.cloud import CloudApi
from ingest_strategies.jira.planning import probe
from tests.strategies.jira.site import Lake, assert_exact, endpoint_of

pytestmark = pytest.mark.slow

OF_THE_RUN = {"myself": 1, "serverInfo": 1, "project list": 1}
OF_THE_UNIT = {
    "jira.issues": {"field": 1, "count": 1},
    "jira.comments": {"count": 1},
    "jira.worklogs": {"deleted": 1, "count": 1},
    "jira.changelogs": {"count": 1},
}
NAMES = {"approximate-count": "count", "project": "project list"}
"""Data Center counts with its search."""


def count_requests(sim: Simulation) -> Counter[str]:
    requests: Counter[str] = Counter()
    for endpoint, times in sim.stats()["endpoints"].items():
        parts = endpoint.partition("{api}/")[2].split("/")
        name = "project list" if parts[0] == "project" else "count" if parts == ["search"] else parts[-1]
        requests[NAMES.get(name, name)] += times
    return requests


def unchanged_lake(sim: Simulation, folder: Path, unit: str) -> Lake:
    """Everything was read, so long ago that the look-back is empty."""
    lake = Lake(folder, endpoint_of(sim), unit=unit)
    assert lake.run().rows.committed
    sim.advance_clock(7_200)
    sim.reset_stats()
    return lake


@pytest.mark.parametrize("unit", OF_THE_UNIT)
@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_an_unchanged_unit_costs_two_requests_at_most_however_many_projects_it_has(
    mode: Literal["cloud", "dc"], unit: str, tmp_path: Path
) -> None:
    for projects in (3, 9):
        with simulate(mode=mode, issues=90, projects=projects, frozen=True) as sim:
            lake = unchanged_lake(sim, tmp_path / str(projects), unit)
            assert lake.run().rows.read == 0
            own = count_requests(sim) - Counter(OF_THE_RUN)
            assert own == Counter(OF_THE_UNIT[unit])
            assert own.total() <= 2


def test_one_change_among_many_projects_is_found(tmp_path: Path) -> None:
    with simulate(issues=90, projects=9, frozen=True) as sim:
        lake = unchanged_lake(sim, tmp_path, "jira.issues")
        assert len(sim.mutate("update", count=1)) == 1
        sim.advance_clock(120)
        assert lake.run().rows.read == 1
        assert_exact(lake, sim, own=True)


def test_more_projects_than_are_counted_together_are_counted_in_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "COUNTED_TOGETHER", 4)
    with simulate(issues=90, projects=8, frozen=True) as sim:
        lake = unchanged_lake(sim, tmp_path, "jira.issues")
        assert lake.run().rows.read == 0
        assert count_requests(sim)["count"] == 2


def test_projects_that_cannot_be_counted_together_are_counted_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = CloudApi.count

    def count(self: Any, where: str) -> int:
        if " OR " in where:
            raise BadRequest("the query is too complex")
        return real(self, where)

    monkeypatch.setattr(CloudApi, "count", count)
    with simulate(issues=60, projects=3, frozen=True) as sim:
        lake = unchanged_lake(sim, tmp_path, "jira.issues")
        sim.mutate("update", count=5)
        sim.advance_clock(120)
        assert lake.run().rows.read == 5
        assert_exact(lake, sim, own=True)
