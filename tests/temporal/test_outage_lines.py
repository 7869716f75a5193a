"""Of an outage a worker and a server say one line, without the traceback of a driver."""

import logging

import pytest
from temporalio.exceptions import ApplicationError

from ingest_ray import logs
from ingest_ray.sdk.errors import ConfigError, StateUnavailable
from ingest_ray.server.outage_log import OutageLog
from ingest_ray.temporal import outage_lines
from ingest_ray.temporal.outage_lines import CORE, Outages, shortened


def failed(error: BaseException | None, message: str = "Completing activity as failed") -> logging.LogRecord:
    """A record as the library makes it."""
    info = (type(error), error, None) if error is not None else None
    record = logging.LogRecord("temporalio.activity", logging.WARNING, "_activity.py", 1, message, (), info)
    record.temporal_activity = {"activity_type": "startIngestionRun", "workflow_id": "ingest:shop:orders"}
    return record


def test_attempts_that_wait_for_one_store_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    outages = Outages()
    away = ApplicationError("state at 'postgresql://db' does not answer", type="E_STATE_UNREADABLE")
    first = failed(away)
    assert [shortened(record, outages) for record in (first, failed(away), failed(away))] == [True, False, False]
    assert first.exc_info is None
    assert "startIngestionRun of 'ingest:shop:orders': state at 'postgresql://db'" in first.getMessage()
    monkeypatch.setattr(outage_lines, "FORGET_S", -1.0)
    assert shortened(failed(away), outages)  # the next outage


def test_other_failures_are_a_line_each_and_a_defect_keeps_its_traceback() -> None:
    outages = Outages()
    refused = ApplicationError("endpoint 'shop' is not registered", type="E_ENDPOINT_NOT_FOUND")
    assert all(shortened(failed(refused), outages) for _ in range(2))
    defect = failed(ApplicationError("KeyError: 'x'", type="E_INTERNAL"))
    assert shortened(defect, outages)
    assert defect.exc_info is not None


def test_requests_that_the_library_repeats_are_one_line() -> None:
    outages = Outages()

    def retried() -> logging.LogRecord:
        message = "[temporalio_client::retry] gRPC call poll_workflow_task_queue retried 6 times {...}"
        return logging.LogRecord(CORE, logging.WARNING, "retry.rs", 1, message, (), None)

    first = retried()
    assert [shortened(record, outages) for record in (first, retried(), retried())] == [True, False, False]
    assert "gRPC" not in first.getMessage()


def test_parts_of_a_server_that_wait_for_one_store_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    log = OutageLog()
    for part in ("schedules", "check_incidents", "deliver_due", "schedules"):
        log.failed(part, StateUnavailable(f"state at 'postgresql://db' does not answer, says {part}"))
    log.succeeded("deliver_due")
    log.failed("deliver_due", ConfigError("no such receiver"))
    log.failed("deliver_due", ConfigError("no such receiver"))
    for part in ("schedules", "check_incidents", "deliver_due", "schedules"):
        log.succeeded(part)
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 4
    assert texts[0].startswith("schedules, alerts and messages wait until the store answers: state at")
    assert texts[1] == "deliver_due failed, and is tried again: no such receiver [E_BAD_INPUT]"
    assert texts[2].startswith("the store answers again")
    assert texts[3] == "deliver_due works again"


def test_a_pool_that_cannot_close_a_dead_connection_says_nothing() -> None:
    record = failed(BrokenPipeError("Broken pipe"), "Exception terminating connection")
    record.name = "sqlalchemy.pool.impl.QueuePool"
    assert not logs.hide_pool_tracebacks(record)
    assert logs.hide_pool_tracebacks(failed(ValueError("another logger")))
