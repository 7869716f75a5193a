"""Which requests a run makes to a site on which nothing has changed since the last run."""

from pathlib import Path
from typing import Any, Literal

import pytest

from ingest_ray.sdk.errors import SourceError
from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_strategies.confluence.planning import probe
from tests.strategies.confluence.site import Lake, assert_pages, endpoint_of

pytestmark = pytest.mark.slow

OF_THE_RUN = 6
"""Login and clock, the list of spaces, and the proof of the zone by two samples, with two questions each."""


def unchanged_lake(sim: Simulation, folder: Path, unit: str) -> Lake:
    """Everything was read, so long ago that the look-back is empty."""
    lake = Lake(folder, endpoint_of(sim), unit=unit)
    assert lake.run().rows.committed
    sim.advance_clock(7_200)
    sim.reset_stats()
    return lake


def count_requests_of_unchanged_run(sim: Simulation, folder: Path, unit: str) -> int:
    assert unchanged_lake(sim, folder, unit).run().rows.read == 0
    return int(sim.stats()["requests"])


@pytest.mark.parametrize("unit", ["confluence.comment", "confluence.attachment", "confluence.label"])
@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_an_unchanged_unit_costs_one_request_however_many_spaces_it_has(
    mode: Literal["cloud", "dc"], unit: str, tmp_path: Path
) -> None:
    for spaces in (3, 6):
        with simulate("confluence", mode, pages=120, spaces=spaces, frozen=True) as sim:
            assert count_requests_of_unchanged_run(sim, tmp_path / str(spaces), unit) - OF_THE_RUN == 1


@pytest.mark.parametrize(("mode", "of_the_unit", "of_a_space"), [("cloud", 3, 2), ("dc", 1, 6)])
def test_unchanged_pages_cost_the_listing_of_each_tree_besides(
    mode: Literal["cloud", "dc"], of_the_unit: int, of_a_space: int, tmp_path: Path
) -> None:
    """Moved, trashed and archived pages have no date. Trees are listed by kind on Cloud, which also lists the latest changes; by kind
    and status on Data Center."""
    for spaces in (3, 6):
        with simulate("confluence", mode, pages=120, spaces=spaces, frozen=True) as sim:
            requests = count_requests_of_unchanged_run(sim, tmp_path / str(spaces), "confluence.page")
            assert requests - OF_THE_RUN == of_the_unit + of_a_space * spaces


def test_one_change_among_many_spaces_is_found(tmp_path: Path) -> None:
    with simulate("confluence", pages=120, spaces=6, frozen=True) as sim:
        lake = unchanged_lake(sim, tmp_path, "confluence.page")
        assert len(sim.mutate("edit", count=1)) == 1
        sim.advance_clock(120)
        assert lake.run().rows.read == 1
        assert_pages(lake.rows(), sim)


def test_spaces_that_cannot_be_counted_together_are_counted_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = probe.count_content

    def count(client: Any, where: str) -> int:
        if " OR " in where:
            raise SourceError("the address is too long")
        return real(client, where)

    monkeypatch.setattr(probe, "count_content", count)
    with simulate("confluence", pages=60, spaces=3, frozen=True) as sim:
        lake = unchanged_lake(sim, tmp_path, "confluence.page")
        sim.mutate("edit", count=5)
        sim.advance_clock(120)
        assert lake.run().rows.read == 5
        assert_pages(lake.rows(), sim)
