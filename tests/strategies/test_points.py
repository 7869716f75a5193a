"""Hourly quotas: used to their end, waited for, and predicted by `plan`. The clocks of site and client run fast."""

from pathlib import Path
from typing import Any

import pytest

from ingest_ray.engine.run_order import Progress
from ingest_ray.http.permits import LocalPermits, using
from ingest_ray.http.timing import Timing, using_timing
from ingest_ray.run import launch
from ingest_ray.run.preview import preview_plan
from ingest_ray.sdk.types import RunMode, RunState
from ingest_ray.simulators.atlassian import Simulation, simulate
from tests.strategies.test_logins import LOGINS, lake_of

APP = LOGINS["refresh token"]
SPEED = 600.0


@pytest.mark.faults  # minutes of a clock that is 600 times as fast; tests/http/test_quota.py has the same in simulated time
@pytest.mark.parametrize(
    ("product", "size", "traps"),
    [
        ("jira", {"issues": 2600, "projects": 2}, []),
        ("jira", {"issues": 2600, "projects": 2}, ["no-retry-after"]),
        ("confluence", {"pages": 1000, "spaces": 2}, []),
    ],
)
def test_hours_of_a_quota_are_used_to_their_end_and_waited_for(
    tmp_path: Path, product: Any, size: dict[str, int], traps: list[str]
) -> None:
    clocks, quota = Timing.fast(SPEED), 1000
    with (
        # Tokens that outlast a pause of a busy machine: an hour of this clock is 6 s.
        simulate(product, quota=quota, clock_speed=SPEED, traps=traps, token_life_s=72 * 3600, **size) as sim,
        using_timing(clocks),
        using(LocalPermits(clocks=clocks)),
    ):
        lake = lake_of(sim, tmp_path, APP(sim) | {"timeout_s": 3600})
        told: list[Progress] = []
        (summary,) = launch([lake.order()], told.append, lambda: False)
        assert summary.state is RunState.SUCCEEDED, summary.error
        assert summary.retries == 0
        assert lake.rows().keys() == {record["id"] for record in sim.expected()}
        stats = sim.stats()
    hours = sorted(map(int, stats["quota_used"]))
    whole = [stats["quota_used"][str(hour)] for hour in hours[1:-1]]
    used_up = [points for points in whole if points >= 0.95 * quota]
    # An hour is 6 s here: a machine that is busy for as long costs one of them.
    assert len(used_up) >= max(2, len(whole) - 1), stats["quota_used"]
    # One an hour; in 8 ms of this test 5 s pass, so that requests which are on their way together can be refused together.
    assert sum(stats["quota_refusals"].values()) <= len(hours), stats["quota_refusals"]
    waits = {progress.waiting for progress in told if progress.waiting}
    assert any("for the quota of" in text for text in waits), "the progress says what the run waits for"


@pytest.mark.parametrize("product", ["jira", "confluence"])
def test_a_run_that_waits_for_a_quota_can_be_stopped(tmp_path: Path, product: Any) -> None:
    size: Any = {"issues": 400, "projects": 2} if product == "jira" else {"pages": 400, "spaces": 2}
    with simulate(product, quota=300, **size) as sim, using(LocalPermits()):
        lake = lake_of(sim, tmp_path, APP(sim))
        sim.advance_clock(3600)
        told: list[Progress] = []
        (summary,) = launch([lake.order()], told.append, lambda: any(one.waiting for one in told))
        assert summary.state in (RunState.PAUSED, RunState.FAILED)
        assert summary.seconds < 60


def points_of_run(sim: Simulation, lake: Any) -> tuple[int, int]:
    """(predicted, counted) for the next run."""
    lake.spec()
    order = lake.order()
    predicted = preview_plan(order).facts["points"]
    sim.reset_stats()
    (summary,) = launch([order], lambda progress: None, lambda: False)
    assert summary.state is RunState.SUCCEEDED, summary.error
    return int(str(predicted)), int(sim.stats()["points"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("product", "unit", "mode"),
    [
        ("jira", "jira.issues", RunMode.INCREMENTAL),
        ("jira", "jira.issues", RunMode.FULL),
        ("jira", "jira.comments", RunMode.INCREMENTAL),
        ("jira", "jira.changelogs", RunMode.INCREMENTAL),
        ("jira", "jira.issue_links", RunMode.INCREMENTAL),
        ("jira", "jira.issue_links", RunMode.FULL),
        ("jira", "jira.attachments", RunMode.FULL),
        ("confluence", "confluence.page", RunMode.INCREMENTAL),
        ("confluence", "confluence.page", RunMode.FULL),
        ("confluence", "confluence.label", RunMode.INCREMENTAL),
        ("confluence", "confluence.label", RunMode.FULL),
    ],
)
def test_plan_predicts_the_points_of_a_first_load(tmp_path: Path, product: Any, unit: str, mode: RunMode) -> None:
    size: Any = {"issues": 2000, "projects": 4} if product == "jira" else {"pages": 2000, "spaces": 4}
    traps = ["no-inline-caps"]  # what lists have beyond their inline part is not predicted
    with simulate(product, quota=10**9, frozen=True, traps=traps, **size) as sim:
        lake = lake_of(sim, tmp_path, APP(sim), unit)
        lake.mode = mode
        predicted, counted = points_of_run(sim, lake)
        assert predicted == pytest.approx(counted, rel=0.05)


@pytest.mark.slow
def test_a_later_load_is_predicted_with_what_lists_have_beyond_their_inline_part(tmp_path: Path) -> None:
    with simulate(quota=10**9, frozen=True, issues=1500, projects=3) as sim:
        lake = lake_of(sim, tmp_path, APP(sim))
        lake.mode = RunMode.FULL
        first, counted = points_of_run(sim, lake)
        assert first < 0.9 * counted, "the first load cannot know it"
        predicted, counted = points_of_run(sim, lake)
        assert predicted == pytest.approx(counted, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("product", "unit"),
    [
        ("confluence", "confluence.acl"),
        ("confluence", "confluence.task"),
        ("jira", "jira.acl"),
        *(
            pytest.param(unit.partition(".")[0], unit, marks=pytest.mark.faults)
            for unit in (
                "confluence.label", "confluence.revision", "confluence.attachment_acl", "confluence.like",
                "jira.issue_links", "jira.votes", "jira.watchers", "jira.remote_links", "jira.attachments", "jira.sprint_issues",
            )
        ),
    ],
)  # fmt: skip
def test_a_later_full_run_of_any_unit_is_predicted_by_the_one_before(tmp_path: Path, product: Any, unit: str) -> None:
    size: Any = {"issues": 6000, "projects": 4} if product == "jira" else {"pages": 1200, "spaces": 3}
    with simulate(product, quota=10**9, frozen=True, **size) as sim:
        lake = lake_of(sim, tmp_path, APP(sim) | ({"acl_folders": "open"} if product == "confluence" else {}), unit)
        lake.mode = RunMode.FULL
        assert lake.run().state is RunState.SUCCEEDED
        predicted, counted = points_of_run(sim, lake)
        assert predicted == pytest.approx(counted, rel=0.05)
