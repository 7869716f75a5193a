"""`doctor` finds what is planted, names it, and says what to do; a healthy installation has nothing that failed."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path

import pytest

from ingest_ray.catalog import run_records
from ingest_ray.sdk import missing_packages
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.execution import run
from ingest_ray.service.upkeep.checks import package_checks
from ingest_ray.service.upkeep.doctor import Finding, diagnose
from tests.cli.in_process import InProcessCli
from tests.monitoring.test_freshness import NOW, record
from tests.service.workspace import Workspace


@pytest.fixture
def loaded(workspace: Workspace) -> Workspace:
    workspace.source["units"] = ["numbers-1x3"]
    workspace.document["units"][0] |= {"run_mode": "INCREMENTAL", "policy": {"cursor": "at", "fresh_within": "1h"}}
    workspace.apply()
    collect(workspace.installation, "shop")
    run(workspace.installation, "shop")
    return workspace


def findings(installation: Installation, check: str) -> list[Finding]:
    return [found for found in diagnose(installation).findings if found.check == check and found.status != "ok"]


def test_a_healthy_installation_has_no_finding(loaded: Workspace, capfd: pytest.CaptureFixture[str]) -> None:
    diagnosis = diagnose(loaded.installation)
    assert [found for found in diagnosis.findings if found.status != "ok"] == []
    cli = InProcessCli(loaded.folder, capfd)
    assert cli.json("doctor")["is_healthy"] is True
    assert "sinks" in cli.run("doctor")[1]
    assert "sinks" not in cli.run("doctor", "--quick")[1]
    assert cli.json("sweep", "--dry-run")["runs"] == 0


def plant_open_rights(loaded: Workspace) -> None:
    (Path(loaded.installation.settings.home) / "state.db").chmod(0o644)


def plant_lost_table(loaded: Workspace) -> None:
    shutil.rmtree(loaded.folder / "lake")


def plant_dead_run(loaded: Workspace) -> None:
    ids = {"endpoint_id": "shop", "unit_id": "numbers-1x3", "sink_id": "lake"}
    with loaded.installation.catalog.begin() as connection:
        owner = '{"host": "gone", "pid": 1, "started": "1"}'
        run_records.start(connection, RunSummary(run_id="r", state=RunState.RUNNING, **ids), owner)
        connection.exec_driver_sql("UPDATE ingest_runs SET started_at = '2020-01-01T00:00:00+00:00' WHERE run_id = 'r'")


def plant_lost_secret(loaded: Workspace) -> None:
    loaded.source["password"] = "env:NOT_SET_ANYWHERE"
    loaded.apply()


def plant_unfit_unit(loaded: Workspace) -> None:
    loaded.document["units"][0]["policy"] = {"cursor": "nowhere"}
    loaded.apply()


def plant_late_unit(loaded: Workspace) -> None:
    record(loaded.installation, "numbers-1x3", NOW - timedelta(hours=5))


def plant_lease(loaded: Workspace, **changes: object) -> None:
    ((key, value, version),) = [
        found for found in loaded.installation.kv.scan("ingest::") if found[0].endswith("::lease")
    ]
    loaded.installation.kv.put(key, {**value, "is_released": False, **changes}, version)


def plant_expired_lease(loaded: Workspace) -> None:
    plant_lease(loaded, expires_at=1_600_000_000.0)


def plant_unknown_lease(loaded: Workspace) -> None:
    owner = {"host": "elsewhere", "pid": 1, "started": "1"}
    plant_lease(loaded, run_id="of-another-catalog", owner=owner, expires_at=4_000_000_000.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "check", "words"),
    [
        (plant_expired_lease, "leases", "2020-09-13"),
        (plant_unknown_lease, "leases", "of-another-catalog"),
        (plant_open_rights, "files", "chmod 600"),
        (plant_lost_table, "sinks", "--to-sink"),
        (plant_dead_run, "runs", "ingest-ray run shop numbers-1x3"),
        (plant_lost_secret, "endpoints", "NOT_SET_ANYWHERE"),
        (plant_unfit_unit, "units", "nowhere"),
        (plant_late_unit, "freshness", "numbers-1x3"),
    ],
)
def test_what_is_planted_is_found(
    loaded: Workspace, plant: Callable[[Workspace], None], check: str, words: str
) -> None:
    plant(loaded)
    found = findings(loaded.installation, check)
    assert found
    assert words in f"{found[0].message} {found[0].hint}"


def test_a_check_that_cannot_be_made_ends_no_other(loaded: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from ingest_ray.sdk.errors import StateUnreadable

    def gone(*_: object) -> None:
        raise StateUnreadable("the store is gone", hint="start it")

    installation = loaded.installation
    monkeypatch.setattr(installation.kv, "get", gone)
    diagnosis = diagnose(installation)
    assert not diagnosis.is_healthy
    assert [found.check for found in diagnosis.findings if found.status == "failed"] == ["state store"]
    assert diagnosis.findings[-1].check == "sinks"


def test_packages_that_are_missing_or_of_another_version_are_named(
    loaded: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.document["lineage"] = {"transport": {"type": "console"}}
    loaded.apply()
    monkeypatch.setattr(package_checks, "version", lambda name: "0.1" if name == "deltalake" else version_of(name))
    monkeypatch.setattr(missing_packages, "find_spec", lambda name: None if name == "openlineage" else find_spec(name))
    told = [(found.status, found.message, found.hint) for found in findings(loaded.installation, "packages")]
    assert told == [
        ("failed", "lineage needs the Python package 'openlineage'", "pip install 'ingest-ray[lineage]'"),
        ("warning", "deltalake 0.1 is installed", "pip install 'deltalake<2,>=1.6'"),
    ]
