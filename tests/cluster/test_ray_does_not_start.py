"""A local Ray whose servers end while it starts: the run ends with an error that names it, and blames no source."""

import logging
from pathlib import Path
from typing import Any

import pytest
import ray

from ingest_ray.models import RunState
from tests.run.installation import Installation

pytestmark = pytest.mark.cluster


def test_a_local_ray_that_does_not_start_is_a_typed_error_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def killed(**_: Any) -> None:
        raise RuntimeError("Failed to start GCS.")

    with monkeypatch.context() as patch:
        patch.setattr(ray, "init", killed)
        patch.setattr(ray, "is_initialized", lambda: False)
        there = Installation(tmp_path, inline_below=0)
        with caplog.at_level(logging.ERROR):
            summary = there.run()
    assert summary.state is RunState.FAILED
    assert summary.error is not None
    assert (summary.error.code, summary.rows.read) == ("E_CLUSTER_UNAVAILABLE", 0)
    assert "Failed to start GCS" in summary.error.message
    assert not [record for record in caplog.records if record.exc_info]
