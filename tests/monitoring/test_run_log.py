"""The log of a run names slices, and no values of their keys, unless somebody asks for them."""

import logging

import pytest

from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import run
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
