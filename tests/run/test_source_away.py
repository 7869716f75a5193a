"""A source that is away for a moment before its first slice, or while slices are cut, and one that stays away."""

import logging
import time
from pathlib import Path

import pytest

from ingest_ray.engine.run_order import Progress
from ingest_ray.run import launch
from ingest_ray.sdk.types import RunMode, RunState
from ingest_ray.testing.scripted import noted
from tests.run.installation import Installation


def probes(there: Installation) -> int:
    return noted(there.journal).count("probe")


@pytest.mark.parametrize("threads", [1, 3])
def test_a_source_that_is_away_while_a_run_looks_at_it_is_asked_again(
    tmp_path: Path, threads: int, caplog: pytest.LogCaptureFixture
) -> None:
    there = Installation(tmp_path, threads=threads, source={"faults": {"probe": ["unavailable"] * 4}})
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED
    assert (there.ids(), probes(there)) == (there.expected_ids(), 5)
    told = [record.message for record in caplog.records if "source is unavailable" in record.message]
    assert told[-1] == "the source is unavailable, attempt 5 of 5 follows in 0.0 s: scripted: the source is busy"


def test_a_source_that_stays_away_is_asked_as_often_as_a_slice_would_be_read(tmp_path: Path) -> None:
    policy = {"cursor": "at", "max_attempts": 3}
    there = Installation(tmp_path, policy=policy, source={"faults": {"probe": ["unavailable"] * 9}})
    summary = there.run()
    assert summary.error is not None
    assert (summary.state, summary.error.code) == (RunState.FAILED, "E_SOURCE_PAGE_FAILED")
    assert summary.error.message == "scripted: the source is busy"
    assert (probes(there), there.reads()) == (3, [])


def test_a_refused_login_is_told_at_once(tmp_path: Path) -> None:
    there = Installation(tmp_path, source={"faults": {"probe": ["unavailable", "denied"]}})
    summary = there.run()
    assert summary.error is not None
    assert (summary.error.code, probes(there)) == ("E_SOURCE_DENIED", 2)


def test_a_stop_ends_the_wait_for_a_source_and_the_next_run_goes_on(tmp_path: Path) -> None:
    there = Installation(tmp_path, source={"faults": {"probe": ["unavailable:600"]}})
    began, moments = time.monotonic(), list[Progress]()
    summary = launch([there.order()], moments.append, lambda: len(moments) > 2)[0]
    assert (summary.state, summary.error, time.monotonic() - began < 300) == (RunState.PAUSED, None, True)
    assert {moment.phase for moment in moments} == {"planning", "done"}
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()


@pytest.mark.slow
@pytest.mark.parametrize("mode", [RunMode.INCREMENTAL, RunMode.FULL])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_source_that_goes_away_while_slices_are_cut_leaves_none_out(
    tmp_path: Path, mode: RunMode, threads: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What was cut of a plan is lost with its failure: going on with it would leave its rest out, and say it was whole."""
    faults = {"cut 0:1250": ["unavailable"], "probe": ["", "unavailable"]}
    there = Installation(tmp_path, unit="numbers-1x4000", mode=mode, threads=threads, source={"faults": faults})
    with caplog.at_level(logging.WARNING):
        summary = there.run()
    assert summary.state is RunState.SUCCEEDED
    assert (there.ids(), probes(there)) == (there.expected_ids(), 3)
    assert "beginning again from its checkpoint" in caplog.text


def test_a_source_that_fails_whenever_slices_are_cut_ends_the_run_with_its_error(tmp_path: Path) -> None:
    there = Installation(tmp_path, source={"faults": {"cut 0:1250": ["unavailable"] * 9}})
    summary = there.run()
    assert summary.error is not None
    assert (summary.state, summary.error.message) == (RunState.FAILED, "scripted: the source is busy")
    assert probes(there) == 4
    there.source = {}
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()


def test_a_source_that_goes_away_while_a_rest_is_cut_again_leaves_none_out(tmp_path: Path) -> None:
    there = Installation(tmp_path, source={"faults": {"0:1750": ["stop:1760"], "cut 0:1760": ["unavailable"]}})
    assert there.run().state is RunState.SUCCEEDED
    assert (there.ids(), probes(there)) == (there.expected_ids(), 2)
