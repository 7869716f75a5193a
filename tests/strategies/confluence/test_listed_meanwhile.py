"""FULL loads and loads of readers do not wait for the tree of a large space: what search finds is read while it is listed."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import RunMode, RunState
from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_strategies.confluence import strategy
from ingest_strategies.confluence.planning import probe, tree_listings
from ingest_strategies.confluence.planning.tree_listings import TreeListings
from tests.strategies.confluence.site import Lake, assert_pages, endpoint_of

pytestmark = pytest.mark.slow
MOST_S = 60
SEARCH, TREE = "GET /wiki/rest/api/content/search", "GET /wiki/api/v2/spaces/{id}/pages"


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    monkeypatch.setattr(probe, "LISTED_MEANWHILE", 1)
    with simulate("confluence", pages=90, spaces=2, frozen=True) as sim:
        yield sim


def lake_of(sim: Simulation, folder: Path, **more: Any) -> Lake:
    lake = Lake(folder, endpoint_of(sim), mode=RunMode.FULL, **more)
    lake.collect()
    sim.reset_stats()
    return lake


def list_after(monkeypatch: pytest.MonkeyPatch, wait: Callable[[], None]) -> None:
    """Trees are listed once `wait` returns."""
    real = TreeListings._pages

    def pages(self: TreeListings, space: Any) -> Iterator[Any]:
        wait()
        yield from real(self, space)

    monkeypatch.setattr(TreeListings, "_pages", pages)


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + MOST_S
    while not is_so():
        if time.monotonic() > deadline:
            raise SourceUnavailable("nothing was read before the tree was listed")
        time.sleep(0.02)


def test_pages_are_read_while_the_tree_is_listed(
    sim: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, listed_before = lake_of(sim, tmp_path), list[int]()

    def wait() -> None:
        until(lambda: sim.stats()["endpoints"].get(SEARCH, 0) > 0)
        listed_before.append(sim.stats()["endpoints"].get(TREE, 0))

    list_after(monkeypatch, wait)
    assert lake.run().state is RunState.SUCCEEDED
    assert listed_before[0] == 0
    assert_pages(lake.rows(), sim)


@pytest.mark.parametrize("op", ["trash", "archive", "reparent", "restore"])
def test_what_changes_between_reading_and_listing_is_neither_lost_nor_doubled(
    op: str, sim: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, changed = lake_of(sim, tmp_path), list[Any]()
    sim.mutate("trash", count=4, seed=9)

    def wait() -> None:
        until(lambda: sim.stats()["endpoints"].get(SEARCH, 0) > 0)
        if not changed:
            changed.extend(sim.mutate(op, count=4, seed=2))

    list_after(monkeypatch, wait)
    assert lake.run().state is RunState.SUCCEEDED
    truth = {record["id"]: record for record in sim.expected("pages")}
    rows = lake.rows()
    assert rows.keys() == truth.keys()
    if op in ("trash", "archive"):  # listed after they were read, so read again
        assert {number: row["status"] for number, row in rows.items()} == {
            number: record["status"] for number, record in truth.items()
        }


def test_a_tree_that_the_planner_cannot_list_is_listed_by_the_reader(
    sim: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim.mutate("trash", count=4, seed=9)
    lake = lake_of(sim, tmp_path)

    def fail(*_: Any) -> Any:
        raise SourceUnavailable("no tree")

    monkeypatch.setattr(tree_listings, "build_tree", fail)
    assert lake.run().state is RunState.SUCCEEDED
    assert_pages(lake.rows(), sim)


def test_readers_of_trashed_pages_come_with_those_of_the_others(sim: Simulation, tmp_path: Path) -> None:
    sim.mutate("trash", count=4, seed=9)
    lake = Lake(tmp_path, endpoint_of(sim), unit="confluence.acl")
    assert lake.run().state is RunState.SUCCEEDED
    trashed = {record["id"] for record in sim.expected("pages") if record["status"] == "trashed"}
    assert len(trashed) >= 4
    assert trashed <= {row["content_id"] for row in lake.rows().values()}


def test_the_tree_that_the_next_run_compares_with_is_listed_before_any_page_is_read(
    sim: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that moves after it was read and before it was listed would stay where it was."""
    steps: list[str] = []
    list_tree, read_slice = TreeListings._pages, strategy.read_slice

    def pages(self: TreeListings, space: Any) -> Iterator[Any]:
        yield from list_tree(self, space)
        steps.append("listed")

    def read(*arguments: Any) -> Any:
        steps.append("read")
        return read_slice(*arguments)

    monkeypatch.setattr(TreeListings, "_pages", pages)
    monkeypatch.setattr(strategy, "read_slice", read)
    lake = Lake(tmp_path, endpoint_of(sim))
    assert lake.run().state is RunState.SUCCEEDED
    assert steps[:2] == ["listed", "listed"]
    assert "listed" not in steps[2:]
    assert_pages(lake.rows(), sim)


@pytest.mark.parametrize(
    ("run_mode", "failing"), [(RunMode.INCREMENTAL, 1), (RunMode.INCREMENTAL, 3), (RunMode.FULL, 3)]
)
@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_a_space_whose_tree_fails_once_in_the_plan_has_every_page_in_the_same_run(
    mode: Any, run_mode: RunMode, failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trashed, archived and moved pages, which search does not find, or not as changed. `failing`: in how many of three runs."""
    with simulate("confluence", mode, pages=90, spaces=2, frozen=True) as sim:
        lake = Lake(tmp_path, endpoint_of(sim), mode=run_mode)
        lake.collect()
        for number, op in enumerate((None, "reparent", "archive")):
            if op is not None:
                sim.mutate(op, count=3, seed=4)
                sim.advance_clock(600)
            with monkeypatch.context() as patch:
                if number < failing:
                    fail_listings_of_planner(patch)
                summary = lake.run()
            assert summary.state is RunState.SUCCEEDED, summary.error
            assert_pages(lake.rows(), sim)


def fail_listings_of_planner(patch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise SourceUnavailable("no tree")

    patch.setattr(tree_listings, "build_tree", fail)
