"""A planner's session that the server ends: the run says why, and goes on from its checkpoint."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.types import RunState
from ingest_ray.testing.servers.postgres import Postgres
from ingest_strategies.jdbc import reader
from ingest_strategies.jdbc.postgres.connection import fault_of
from ingest_strategies.jdbc.templates import postgres
from tests.run.test_ddl_during_load import EXPECTED, items, landed, run

__all__ = ["items"]
pytestmark = pytest.mark.services
IDLE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()"


@pytest.mark.parametrize("times", [1, 100])
def test_a_planner_that_an_administrator_ended_says_so(
    items: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, times: int
) -> None:
    original = reader.read_once
    reads = 0

    def read_once(*args: Any) -> Iterator[Any]:
        nonlocal reads
        reads += 1
        if reads <= times:
            items.run(IDLE)
        yield from original(*args)

    monkeypatch.setattr(reader, "read_once", read_once)
    monkeypatch.setattr("ingest_ray.run.run.LOST_SNAPSHOTS", 2)
    summary = run(tmp_path, postgres, {"url": items.url}, "items")
    assert "terminating connection due to administrator command" in caplog.text
    if times == 1:
        assert (summary.state, landed(tmp_path)) == (RunState.SUCCEEDED, EXPECTED)
        return
    assert summary.error is not None
    assert (summary.state, summary.error.code) == (RunState.FAILED, "E_SOURCE_PAGE_FAILED")
    assert "terminating connection due to administrator command" in summary.error.message
    assert "an administrator ended the session" in str(summary.error.hint)


def test_a_recovery_conflict_hints_at_the_setting_of_the_standby() -> None:
    message = "FATAL: terminating connection due to conflict with recovery"
    assert "hot_standby_feedback = on" in str(fault_of("shop", message, "40001").hint)
