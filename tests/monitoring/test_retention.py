"""Retention deletes what is old and nothing that is needed; it is on by default, once a day, by whichever process is first."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ingest_ray.catalog import run_channel, run_records
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.service.installation import Installation
from ingest_ray.service.monitoring.freshness import read_freshness
from ingest_ray.service.runs.execution import run
from ingest_ray.service.runs.quarantine import list_rejected
from ingest_ray.service.upkeep.retention import KEPT_RUNS, sweep, sweep_when_due
from tests.monitoring.test_freshness import NOW, ready, record
from tests.service.workspace import Workspace

UNIT = UnitRef("shop", "numbers-1x1")
YEARS = timedelta(days=800)


def ids(installation: Installation) -> list[str]:
    with installation.catalog.read() as connection:
        return [found.summary.run_id for found in run_records.recent(connection, UNIT, 500)]


def test_old_records_go_and_the_newest_of_each_task_and_the_totals_stay(workspace: Workspace) -> None:
    installation = ready(workspace)
    for n in range(KEPT_RUNS + 7):
        summary = record(installation, UNIT.unit_id, NOW - timedelta(days=300 - n))
        with installation.catalog.begin() as connection:
            run_channel.open_channel(connection, summary.run_id, "{}")
    compared = record(installation, UNIT.unit_id, NOW - timedelta(days=700), task="verify")
    before = ids(installation)
    assert sweep(installation, is_dry_run=True, now=NOW + YEARS).runs == 7
    assert ids(installation) == before
    assert sweep(installation, now=NOW + YEARS).runs == 7
    assert len(ids(installation)) == KEPT_RUNS + 1
    assert compared.run_id in ids(installation)
    assert read_freshness(installation)[0].last_success_at is not None
    with installation.catalog.read() as connection:
        assert run_channel.find(connection, before[-2]) is None
    assert sweep(installation, now=NOW + YEARS).runs == 0


def test_young_records_and_runs_without_an_end_stay(workspace: Workspace) -> None:
    installation = ready(workspace)
    for n in range(KEPT_RUNS + 5):
        record(installation, UNIT.unit_id, NOW - timedelta(minutes=n))
    assert sweep(installation).runs == 0
    summary = RunSummary(run_id="old", state=RunState.RUNNING, sink_id="lake", endpoint_id="shop", unit_id=UNIT.unit_id)
    with installation.catalog.begin() as connection:
        run_records.start(connection, summary, "{}")
        connection.exec_driver_sql("UPDATE ingest_runs SET started_at = '2020-01-01' WHERE run_id = 'old'")
    sweep(installation, now=NOW + YEARS)
    assert "old" in ids(installation)


def old_file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    os.utime(path, (time.time() - 86_400 * 800,) * 2)
    return path


def test_logs_documents_and_spools_go_but_not_the_log_of_a_run_that_goes_on(workspace: Workspace) -> None:
    installation = ready(workspace)
    home = Path(installation.settings.home)
    summary = RunSummary(
        run_id="live", state=RunState.RUNNING, sink_id="lake", endpoint_id="shop", unit_id=UNIT.unit_id
    )
    with installation.catalog.begin() as connection:
        run_records.start(connection, summary, "{}")
    old = [old_file(home / "logs" / "a.log"), old_file(home / "documents" / "m.json")]
    spool = old_file(home / "verify" / "abc" / "keys.db")
    os.utime(spool.parent, (time.time() - 86_400 * 30,) * 2)
    kept = [old_file(home / "logs" / "live.log"), home / "logs" / "new.log"]
    kept[1].write_text("x")
    report = sweep(installation)
    assert (report.logs, report.documents, report.spools) == (1, 1, 1)
    assert not any(file.exists() for file in (*old, spool.parent))
    assert all(file.exists() for file in kept)


def test_rejected_rows_go_after_a_year_and_never_where_the_policy_says_so(workspace: Workspace) -> None:
    workspace.source["bad"] = [0]
    installation = ready(workspace)
    run(installation, "shop", ["numbers-1x2"])
    assert list_rejected(installation).rows == 1
    assert sweep(installation, now=datetime.now(UTC) + timedelta(days=300)).rejected_rows == 0
    workspace.document["retention"] = {"quarantine": None}
    workspace.apply()
    assert sweep(workspace.installation, now=datetime.now(UTC) + YEARS).rejected_rows == 0
    assert sweep(installation, now=datetime.now(UTC) + YEARS).rejected_rows == 1
    assert list_rejected(installation).rows == 0


def test_of_several_processes_one_sweeps_and_only_once_a_day(workspace: Workspace) -> None:
    installation = ready(workspace)
    assert sweep_when_due(installation, NOW) is not None
    assert sweep_when_due(installation, NOW + timedelta(hours=23)) is None
    assert sweep_when_due(installation, NOW + timedelta(hours=25)) is not None
    staged = Path(installation.settings.staging_uri) / "dead-run" / "s" / "1"
    staged.mkdir(parents=True)
    (staged / "page-0.arrow").write_bytes(b"x" * 100)
    assert sweep(installation).staged_bytes >= 0
    assert not staged.exists()
