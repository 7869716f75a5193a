"""Keys of personal spaces, which have dots, @ and colons, from `collect` to the rows, their links, and what changes later."""

from pathlib import Path
from typing import Any

import pytest

from ingest_ray.run.preview import preview_plan
from ingest_ray.sdk.types import RunMode, RunState
from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_ray.simulators.atlassian.confluence import generator
from tests.strategies.confluence.site import Lake, assert_page, endpoint_of, pages_of

pytestmark = pytest.mark.slow
KEYS = {"cloud": ("~557058:abc-def", "~josé+test_1"), "dc": ("~ada.lovelace@example.com", "~o'brien%2e")}
SPACES = 18
"""Of ten spaces of a simulator, the eighth is personal."""


@pytest.fixture(autouse=True)
def personal_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    def personal_key(person: Any, index: int, *, is_cloud: bool) -> str:
        return KEYS["cloud" if is_cloud else "dc"][index // 10]

    monkeypatch.setattr(generator, "personal_key", personal_key)


def personal_pages(sim: Simulation) -> dict[str, dict[str, Any]]:
    return {number: page for number, page in pages_of(sim).items() if page["space"] in KEYS[sim.mode]}


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_pages_of_personal_spaces_are_loaded_followed_and_linked(tmp_path: Path, mode: Any) -> None:
    with simulate("confluence", mode, pages=160, spaces=SPACES, frozen=True) as sim:
        lake = Lake(tmp_path, endpoint_of(sim))
        lake.collect()
        assert preview_plan(lake.order()).estimated_rows
        assert lake.run().state is RunState.SUCCEEDED
        pages = personal_pages(sim)
        assert {page["space"] for page in pages.values()} == set(KEYS[mode])
        current = [number for number, page in pages.items() if page["status"] == "current"]
        sim.advance_clock(7_200)
        sim.mutate("edit", ids=current[:4])
        sim.mutate("trash", ids=current[4:6])
        sim.advance_clock(300)
        summary = lake.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
        rows = lake.rows()
        assert rows.keys() == pages_of(sim).keys()
        for number, page in personal_pages(sim).items():
            assert_page(rows[number], page, is_cloud=mode == "cloud")


UNITS = ("space", "comment", "label", "attachment", "acl", "revision")


@pytest.mark.faults
@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_units_of_personal_spaces_alone_are_loaded(tmp_path: Path, mode: Any) -> None:
    with simulate("confluence", mode, pages=160, spaces=SPACES, frozen=True) as sim:
        everything = {"acl_folders": "open"} if mode == "cloud" else {}
        for unit in UNITS:
            mode_of = RunMode.FULL if unit == "space" else RunMode.INCREMENTAL
            named = Lake(
                tmp_path / unit,
                endpoint_of(sim, space_keys=list(KEYS[mode]), **everything),
                f"confluence.{unit}",
                mode_of,
            )
            summary = named.run()
            assert summary.state is RunState.SUCCEEDED, (unit, summary.error)
            every = Lake(tmp_path / f"{unit}-all", endpoint_of(sim, **everything), f"confluence.{unit}", mode_of)
            every.run()
            name = "key" if unit == "space" else "space_key"
            found = {key for key, row in every.rows().items() if row[name] in KEYS[mode]}
            assert found or unit in ("comment", "label", "attachment"), unit
            assert (named.rows().keys() if found else set()) == found, unit
