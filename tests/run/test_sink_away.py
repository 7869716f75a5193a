"""A sink that is away for a moment, or whose table another process changes, before the first slice of a run."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from ingest_ray.sdk.errors import SinkUnavailable
from ingest_ray.sdk.types import RunState, Target
from ingest_ray.sinks.delta import sink as delta_sink
from ingest_ray.sinks.delta.log.commits import commit_properties, take_over
from ingest_ray.sinks.delta.sink import DeltaSink
from tests.run.installation import Installation


def fail_first(calls: int, method: Callable[..., Any]) -> Callable[..., Any]:
    failures = iter(range(calls))

    def call(*arguments: Any) -> Any:
        if next(failures, None) is not None:
            raise SinkUnavailable("the sink restarts")
        return method(*arguments)

    return call


@pytest.mark.slow
@pytest.mark.parametrize("step", ["open", "read_progress", "is_empty"])
def test_a_sink_that_is_away_before_the_first_slice_is_asked_again(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    installation = Installation(tmp_path)
    monkeypatch.setattr(DeltaSink, step, fail_first(3, getattr(DeltaSink, step)))
    summary = installation.run()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert installation.ids() == installation.expected_ids()
    waits = [record.message for record in caplog.records if "the sink is unavailable" in record.message]
    assert len(waits) == 3


def test_a_sink_that_stays_away_fails_the_run_after_the_attempts_of_a_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = Installation(tmp_path, policy={"cursor": "at", "max_attempts": 2})
    monkeypatch.setattr(DeltaSink, "open", fail_first(2, DeltaSink.open))
    summary = installation.run()
    assert summary.error is not None
    assert (summary.state, summary.error.code) == (RunState.FAILED, "E_SINK_WRITE_FAILED")
    assert summary.error.message == "the sink restarts"
    assert installation.run().state is RunState.SUCCEEDED
    assert installation.ids() == installation.expected_ids()


def test_a_late_commit_of_an_older_run_does_not_fail_the_run_that_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The sink process of a lost Ray may commit between the snapshot and the take-over of the next attempt."""
    installation = Installation(tmp_path)
    assert installation.run().state is RunState.SUCCEEDED
    is_late = iter([True])

    def take_over_late(table: DeltaTable, files: Any, target: Target, epoch: int) -> DeltaTable:
        if next(is_late, False):
            now = DeltaTable(table.table_uri)
            properties = commit_properties(target, epoch - 1)
            now.create_write_transaction([], "append", now.schema(), commit_properties=properties)
        return take_over(table, files, target, epoch)

    monkeypatch.setattr(delta_sink, "take_over", take_over_late)
    installation.source = {"now": 5_000, "changed": {"3": 4_000}}
    with caplog.at_level(logging.WARNING):
        summary = installation.run()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert "was changed by another commit" in caplog.text
    assert summary.rows.read == 1
    assert installation.ids() == installation.expected_ids()
