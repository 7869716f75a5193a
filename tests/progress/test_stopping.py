"""What a stop interrupts has not failed: nothing warns of it."""

import logging
from pathlib import Path

import pytest

from ingest_ray.run import launch
from ingest_ray.sdk.types import RunState
from ingest_ray.testing.scripted import noted
from tests.run.installation import Installation


@pytest.mark.parametrize("threads", [1, 2])
def test_a_reader_that_a_stop_interrupts_is_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, threads: int
) -> None:
    there = Installation(tmp_path, source={"faults": {"0:250": ["wait"]}}, threads=threads)
    with caplog.at_level(logging.INFO):
        summary = launch([there.order()], lambda _: None, lambda: any("[250" in line for line in noted(there.journal)))[
            0
        ]
    assert (summary.state, summary.error) == (RunState.PAUSED, None)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()
