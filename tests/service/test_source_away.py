"""The first look of a run, which compares the dataset, is as patient with a source as the run; commands by hand are not."""

import time
from typing import Any

import pytest

from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import RunState
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import plan, run
from tests.service.lab import Lab

UNIT = "numbers-1x1000"
LOOK = "describe"


def away(lab: Lab, times: int, **policy: Any) -> Lab:
    lab.apply()
    collect(lab.installation, "shop")
    lab.source["faults"] = {LOOK: ["unavailable"] * times}
    lab.document["units"][0]["policy"] = policy
    lab.apply()
    lab.calls()
    return lab


def looks(lab: Lab) -> int:
    return sum(LOOK in line for line in lab.calls())


def test_a_source_that_is_away_for_the_first_look_is_asked_again(lab: Lab) -> None:
    away(lab, 4)
    (summary,) = run(lab.installation, "shop", [UNIT]).units
    assert (summary.state, lab.rows(UNIT), looks(lab)) == (RunState.SUCCEEDED, 1000, 5)


def test_a_source_that_stays_away_is_waited_for_once_and_not_for_every_unit(lab: Lab) -> None:
    away(lab, 99, max_attempts=3)
    report = run(lab.installation, "shop")
    assert [(one.state, one.error.code) for one in report.units if one.error] == [
        (RunState.FAILED, "E_SOURCE_PAGE_FAILED")
    ] * 2
    assert looks(lab) == 3 + 1


def test_a_stop_ends_the_wait_for_the_first_look(lab: Lab) -> None:
    away(lab, 0)
    lab.source["faults"] = {LOOK: ["unavailable:600"]}
    lab.apply()
    asked: list[float] = []
    began = time.monotonic()
    report = run(lab.installation, "shop", [UNIT], stopping=lambda: bool(asked.append(0.0)) or len(asked) > 4)
    assert (report.state, report.units[0].error) == (RunState.PAUSED, None)
    assert time.monotonic() - began < 30
    assert run(lab.installation, "shop", [UNIT]).state is RunState.SUCCEEDED


def test_a_plan_by_hand_is_refused_at_once(lab: Lab) -> None:
    away(lab, 1)
    with pytest.raises(SourceUnavailable, match="scripted: the source is busy"):
        plan(lab.installation, "shop", UNIT)
    assert looks(lab) == 1
