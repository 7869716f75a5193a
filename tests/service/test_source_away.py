"""The schema check of a run retries like the run itself where its source is unavailable; `plan` by hand does not retry."""

import time
from typing import Any

import pytest

from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunState
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import plan, run
from tests.service.workspace import Workspace

UNIT = "numbers-1x1000"
LOOK = "describe"


def away(workspace: Workspace, times: int, **policy: Any) -> Workspace:
    workspace.apply()
    collect(workspace.installation, "shop")
    workspace.source["faults"] = {LOOK: ["unavailable"] * times}
    workspace.document["units"][0]["policy"] = policy
    workspace.apply()
    workspace.calls()
    return workspace


def looks(workspace: Workspace) -> int:
    return sum(LOOK in line for line in workspace.calls())


def test_a_source_that_is_away_for_the_first_look_is_asked_again(workspace: Workspace) -> None:
    away(workspace, 4)
    (summary,) = run(workspace.installation, "shop", [UNIT]).units
    assert (summary.state, workspace.rows(UNIT), looks(workspace)) == (RunState.SUCCEEDED, 1000, 5)


def test_a_source_that_stays_away_is_waited_for_once_and_not_for_every_unit(workspace: Workspace) -> None:
    away(workspace, 99, max_attempts=3)
    report = run(workspace.installation, "shop", parallel=1)
    assert [(one.state, one.error.code) for one in report.units if one.error] == [
        (RunState.FAILED, "E_SOURCE_PAGE_FAILED")
    ] * 2
    assert looks(workspace) == 3 + 1


def test_a_stop_ends_the_wait_for_the_first_look(workspace: Workspace) -> None:
    away(workspace, 0)
    workspace.source["faults"] = {LOOK: ["unavailable:600"]}
    workspace.apply()
    asked: list[float] = []
    began = time.monotonic()
    report = run(workspace.installation, "shop", [UNIT], is_stopping=lambda: bool(asked.append(0.0)) or len(asked) > 4)
    assert (report.state, report.units[0].error) == (RunState.PAUSED, None)
    assert time.monotonic() - began < 300
    assert run(workspace.installation, "shop", [UNIT]).state is RunState.SUCCEEDED


def test_a_plan_by_hand_is_refused_at_once(workspace: Workspace) -> None:
    away(workspace, 1)
    with pytest.raises(SourceUnavailable, match="scripted: the source is busy"):
        plan(workspace.installation, UnitRef("shop", UNIT))
    assert looks(workspace) == 1
