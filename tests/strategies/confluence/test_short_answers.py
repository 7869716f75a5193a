"""Answers that lack something: content that a page skips, bodies that end early, endpoints that are gone or forbidden."""

from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.types import RunMode, RunState
from ingest_ray.simulators.atlassian import simulate
from ingest_ray.testing.dry_run import Rehearsal
from ingest_strategies.confluence import http
from ingest_strategies.confluence.tables import TABLES
from tests.strategies.confluence.site import Lake, assert_pages, attached, endpoint_of, pages_of

pytestmark = pytest.mark.slow
NONE_HERE = ("confluence.embed",)


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


def test_v1_that_is_gone_is_not_missed_by_any_unit() -> None:
    with simulate("confluence", "cloud", pages=30, spaces=1, traps=["removed-v1"], frozen=True) as sim:
        lake = Lake(Path(), endpoint_of(sim, acl_folders="open"))
        lake.collect()
        for name in lake.datasets:
            lake.unit, lake.mode = name, RunMode.INCREMENTAL if TABLES[name].cursor else RunMode.FULL
            assert Rehearsal(http, lake.spec()).run().rows or name in NONE_HERE, name
        assert sim.stats()["statuses"].keys() <= {"200", "404"}


def test_the_nodes_of_a_data_center_disagree_and_nothing_is_lost(tmp_path: Path) -> None:
    """Half of the searches see what the site was ten minutes ago, and counts and lists of one slice come from different nodes."""
    with simulate("confluence", "dc", pages=120, spaces=2, traps=["node-switch=0.5@/search"], frozen=True) as sim:
        lake = Lake(tmp_path, endpoint_of(sim, slice_pages=50))
        lake.collect()
        for seed in range(3):
            assert lake.run().state is RunState.SUCCEEDED
            for op in ("edit", "create", "trash"):
                sim.mutate(op, count=4, seed=seed)
            sim.advance_clock(200)
        for _ in range(2):
            sim.advance_clock(400)
            assert lake.run().state is RunState.SUCCEEDED
        assert_pages(lake.rows(), sim)
        assert sim.stats()["faults"]["node-switch"] > 10
