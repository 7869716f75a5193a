"""Answers that lack something: content that a page skips, bodies that end early, endpoints that are gone or forbidden."""

from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.types import RunState
from ingest_ray.simulators.atlassian import simulate
from tests.strategies.confluence.site import Lake, attached, endpoint_of, pages_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_bodies_that_end_early_are_read_again(tmp_path: Path, mode: Any) -> None:
    with simulate("confluence", mode, pages=150, spaces=2, traps=["cut-compressed=7"], frozen=True) as sim:
        lake = Lake(tmp_path, endpoint_of(sim, slice_pages=40))
        assert lake.run().state is RunState.SUCCEEDED
        assert lake.rows().keys() == pages_of(sim).keys()
        assert sim.stats()["faults"]["cut-compressed"]


@pytest.mark.parametrize("unit", ["page", "comment", "attachment"])
def test_a_search_that_skips_content_is_asked_again(tmp_path: Path, unit: str) -> None:
    traps = ["skipped-content=3@content/search"]
    with simulate("confluence", "cloud", pages=150, spaces=1, traps=traps, frozen=True) as sim:
        lake = Lake(tmp_path, endpoint_of(sim, slice_pages=40), unit=f"confluence.{unit}")
        while lake.run().state is not RunState.SUCCEEDED:
            assert lake.runs < 6
        children = {child["id"] for _, child in attached(sim, f"{unit}s")} if unit != "page" else set(pages_of(sim))
        assert set(lake.rows()) == children


def test_v1_that_is_gone_is_not_missed(tmp_path: Path) -> None:
    with simulate("confluence", "cloud", pages=60, spaces=1, traps=["no-deprecated-v1"], frozen=True) as sim:
        for unit in ("confluence.page", "confluence.acl", "confluence.attachment"):
            lake = Lake(tmp_path, endpoint_of(sim, acl_folders="open"), unit=unit)
            assert lake.run().state is RunState.SUCCEEDED
