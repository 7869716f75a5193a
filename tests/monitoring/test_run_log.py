"""The log of a run names slices, and no values of their keys, unless somebody asks for them; it is followed until its run has ended."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest_ray.catalog import run_records
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.launching.child_process import log_path
from ingest_ray.service.launching.lifecycle import fail_run
from ingest_ray.service.runs.execution import run
from ingest_ray.service.runs.run_liveness import this_owner
from ingest_ray.service.runs.run_log import read_log
from tests.service.workspace import Workspace


@pytest.mark.parametrize("is_asked_for", [False, True])
def test_bounds_of_slices_are_logged_only_where_somebody_asks(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_asked_for: bool
) -> None:
    monkeypatch.setenv("INGEST_LOG_VALUES", "1" if is_asked_for else "0")
    workspace.source |= {"units": ["numbers-1x777"], "slice_rows": 333}
    workspace.apply()
    collect(workspace.installation, "shop")
    with caplog.at_level(logging.INFO):
        run(workspace.installation, "shop")
    lines = [record for record in caplog.records if record.getMessage().startswith("read ")]
    assert len(lines) == 3
    assert all(record.slice for record in lines)  # type: ignore[attr-defined]
    assert ("333" in " ".join(record.getMessage() for record in lines)) is is_asked_for


def begun(workspace: Workspace, owner: str) -> Path:
    """A run that has its record and a log; returns the log."""
    workspace.apply()
    installation = workspace.installation
    ids = {"endpoint_id": "shop", "unit_id": "numbers-1x3", "sink_id": "lake"}
    with installation.catalog.begin() as connection:
        summary = RunSummary(run_id="r", state=RunState.RUNNING, started_at=datetime.now(UTC), **ids)
        run_records.start(connection, summary, owner)
    path = log_path(installation, "r")
    path.parent.mkdir()
    path.write_text("one\n")
    return path


def test_a_log_is_followed_until_its_run_has_ended(workspace: Workspace) -> None:
    path = begun(workspace, this_owner())
    lines = read_log(workspace.installation, "r", follow=True)
    assert next(lines) == "one"
    with path.open("a") as log:
        log.write("two\n")
    assert next(lines) == "two"
    with path.open("a") as log:
        log.write("three\n")
    fail_run(workspace.installation, "r")
    assert list(lines) == ["three"]


def test_a_log_whose_process_is_gone_is_not_followed_for_ever(workspace: Workspace) -> None:
    """Its server is gone, too: the record has no end."""
    begun(workspace, '{"host": "gone", "pid": 1, "started": "1"}')
    with workspace.installation.catalog.begin() as connection:
        connection.exec_driver_sql("UPDATE ingest_runs SET started_at = '2020-01-01T00:00:00+00:00' WHERE run_id = 'r'")
    assert list(read_log(workspace.installation, "r", follow=True)) == ["one"]
