"""Freshness is a promise of each unit: one that is healthy hides no other that is late."""

from datetime import UTC, datetime, timedelta

from ingest_ray.catalog import run_records, unit_configs
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RowCounts, RunFault, RunState, RunSummary, UnitConfig
from ingest_ray.sdk.types.unit import Policy
from ingest_ray.server.metrics import Metrics
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.installation import Installation, new_id
from ingest_ray.service.monitoring.freshness import read_freshness
from ingest_ray.service.runs.execution import run
from ingest_ray.service.units.status import read_status
from tests.service.workspace import Workspace

NOW = datetime.now(UTC)


def ready(workspace: Workspace, units: int = 2) -> Installation:
    workspace.source["units"] = [f"numbers-1x{n + 1}" for n in range(units)]
    workspace.document["units"][0] |= {"run_mode": "INCREMENTAL", "policy": {"cursor": "at", "fresh_within": "1h"}}
    workspace.apply()
    collect(workspace.installation, "shop")
    return workspace.installation


def record(
    installation: Installation,
    unit_id: str,
    began: datetime,
    state: RunState = RunState.SUCCEEDED,
    task: str = "ingest",
    rows: int = 7,
) -> RunSummary:
    """A run that began and ended at that time."""
    summary = RunSummary(
        run_id=new_id(),
        endpoint_id="shop",
        unit_id=unit_id,
        sink_id="lake",
        state=RunState.RUNNING,
        task=task,  # type: ignore[arg-type]
        started_at=began,
    )
    fault = RunFault(code="E_SOURCE_DENIED", message="no") if state is RunState.FAILED else None
    done = summary.model_copy(
        update={
            "state": state,
            "rows": RowCounts(read=rows, committed=rows - 1, quarantined=1),
            "bytes_staged": 70,
            "seconds": 2.5,
            "watermarks": {"0": began.isoformat()} if state is RunState.SUCCEEDED else {},
            "finished_at": began + timedelta(seconds=3),
            "error": fault,
        }
    )
    with installation.catalog.begin() as connection:
        run_records.start(connection, summary, "{}")
        run_records.finish(connection, done)
    return done


def series(installation: Installation, name: str) -> dict[str, float]:
    """The samples of a metric, by unit."""
    found = {}
    for line in Metrics(installation).text().decode().splitlines():
        if line.startswith(f"{name}{{"):
            labels, value = line.removeprefix(name).rsplit(" ", 1)
            found[labels.split('unit="')[1].split('"')[0]] = float(value)
    return found


def test_a_healthy_unit_hides_no_late_one(workspace: Workspace) -> None:
    installation = ready(workspace, 34)
    for n in range(33):
        record(installation, f"numbers-1x{n + 1}", NOW - timedelta(hours=5))
    record(installation, "numbers-1x34", NOW - timedelta(minutes=5))
    late = series(installation, "ingest_unit_late")
    assert len(late) == 34
    assert [unit for unit, value in late.items() if value == 0] == ["numbers-1x34"]
    ages = series(installation, "ingest_unit_lag_seconds")
    assert 4.9 * 3600 < ages["numbers-1x1"] < 6 * 3600
    assert 299 < ages["numbers-1x34"] < 3000
    reports = read_status(installation, "shop").units
    assert sum(report.freshness.is_late for report in reports if report.freshness is not None) == 33


def test_a_unit_tells_success_age_lag_rows_bytes_and_failures_in_a_row(workspace: Workspace) -> None:
    installation = ready(workspace)
    unit = "numbers-1x1"
    done = record(installation, unit, NOW - timedelta(minutes=50))
    for minutes in (40, 30, 20):
        record(installation, unit, NOW - timedelta(minutes=minutes), RunState.FAILED, rows=1)
    record(installation, unit, NOW - timedelta(minutes=10), RunState.FAILED, task="backfill")
    (found, other) = read_freshness(installation, now=NOW)
    assert (found.failures_in_row, found.is_late, found.fresh_within_s) == (3, False, 3600)
    assert found.as_of == done.started_at
    assert found.lag_s == 50 * 60
    assert found.newest_row_age_s == 50 * 60
    assert found.last_run is not None
    assert found.last_run.state is RunState.FAILED
    assert (other.last_success_at, other.lag_s, other.failures_in_row, other.is_late) == (None, None, 0, False)
    assert read_freshness(installation, now=NOW + timedelta(hours=2))[1].is_late, "it never succeeded"
    assert series(installation, "ingest_unit_failures_in_row") == {unit: 3, "numbers-1x2": 0}
    assert series(installation, "ingest_unit_rows_quarantined_total")[unit] == 5
    assert series(installation, "ingest_unit_rows_committed_total")[unit] == 6 + 6
    assert series(installation, "ingest_unit_run_seconds_total")[unit] == 12.5
    assert series(installation, "ingest_unit_last_run_bytes")[unit] == 70
    record(installation, unit, NOW)
    assert series(installation, "ingest_unit_failures_in_row")[unit] == 0


def test_a_run_counts_once_however_often_its_record_is_ended(workspace: Workspace) -> None:
    installation = ready(workspace)
    done = record(installation, "numbers-1x1", NOW, RunState.FAILED)
    with installation.catalog.begin() as connection:
        run_records.finish(connection, done)
        run_records.reopen(connection, done.model_copy(update={"state": RunState.RUNNING, "error": None}))
        run_records.finish(connection, done.model_copy(update={"state": RunState.SUCCEEDED, "error": None}))
    found = read_freshness(installation)[0]
    assert (found.failures_in_row, found.as_of is not None) == (0, True)
    assert series(installation, "ingest_unit_rows_committed_total")["numbers-1x1"] == 12, "two attempts ended"


def test_a_run_whose_process_died_is_a_failure_before_its_record_has_an_end(workspace: Workspace) -> None:
    installation = ready(workspace)
    record(installation, "numbers-1x1", NOW - timedelta(hours=3))
    summary = RunSummary(
        run_id=new_id(), endpoint_id="shop", unit_id="numbers-1x1", sink_id="lake", state=RunState.RUNNING
    )
    owner = '{"host": "gone", "pid": 1, "started": "1"}'
    with installation.catalog.begin() as connection:
        run_records.start(connection, summary, owner)
    later = datetime.now(UTC) + timedelta(hours=1)
    with installation.catalog.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE ingest_runs SET started_at = '2026-01-01T00:00:00+00:00' WHERE state = 'RUNNING'"
        )
    found = read_freshness(installation, now=later)[0]
    assert (found.state, found.failures_in_row, found.is_late) == (RunState.FAILED, 1, True)


def test_real_runs_count_and_a_disabled_unit_is_not_judged(workspace: Workspace) -> None:
    installation = ready(workspace)
    run(installation, "shop")
    found = read_freshness(installation)
    assert [(unit.is_late, unit.failures_in_row) for unit in found] == [(False, 0)] * 2
    assert found[0].newest_row_at is None, "its cursor is a counter"
    with installation.catalog.begin() as connection:
        stored = unit_configs.find(connection, UnitRef("shop", "numbers-1x1"))
        assert stored is not None
        config = stored.config.model_copy(update={"enabled": False})
        unit_configs.put(connection, config, "set", stored.version)
    assert [unit.is_late for unit in read_freshness(installation, now=NOW + timedelta(days=2))] == [False, True]


def test_a_promise_is_a_span_of_time() -> None:
    assert Policy.model_validate({"fresh_within": "1h"}).fresh_within == 3600
    assert Policy().fresh_within is None
    stored = UnitConfig.model_validate({"endpoint_id": "a", "unit_id": "b", "sink_id": "c", "policy": {}})
    assert stored.policy.fresh_within is None
