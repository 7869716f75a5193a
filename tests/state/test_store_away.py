"""A run whose catalog or state store is away for a while goes on when it is back, in every phase; and its end is recorded."""

import itertools
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ingest_ray.catalog import Catalog
from ingest_ray.catalog import run_records as records
from ingest_ray.kv.sql import SqlKV
from ingest_ray.run import start_retry
from ingest_ray.sdk.errors import StateUnavailable
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.launching import child_process
from ingest_ray.service.launching.child_process import ChildProcessLauncher
from ingest_ray.service.launching.lifecycle import execute_run, open_run
from ingest_ray.service.runs import launch, store_retry
from ingest_ray.service.runs.admission import RunRequest
from tests.service.workspace import Workspace

UNIT = "numbers-1x1000"
REQUEST = RunRequest(endpoint_id="shop", unit_id=UNIT)
FAILURES = 3


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.document["units"][0] |= {"run_mode": "INCREMENTAL", "policy": {"cursor": "at"}}
    workspace.apply()
    collect(workspace.installation, "shop")
    for module in (store_retry, start_retry):
        monkeypatch.setattr(module, "backoff_s", lambda failures: 0.01)
    monkeypatch.setattr("ingest_ray.core.run_progress.backoff_s", lambda failures: 0.01)
    return workspace


def summary_of(workspace: Workspace, run_id: str) -> RunSummary:
    with workspace.installation.catalog.read() as connection:
        found = records.find(connection, run_id)
    assert found is not None
    return found.summary


class Outage:
    """Requests number `after` and the next `FAILURES` fail."""

    def __init__(self, after: int) -> None:
        self._after = after
        self._lock = threading.Lock()
        self.requests = 0

    def meet(self) -> None:
        with self._lock:
            self.requests += 1
            if self._after <= self.requests < self._after + FAILURES:
                raise StateUnavailable("the store is away")


def with_catalog_away(monkeypatch: pytest.MonkeyPatch, outage: Outage) -> None:
    def guarded(method: Any) -> Any:
        @contextmanager
        def call(self: Catalog, **options: bool) -> Iterator[sa.Connection]:
            outage.meet()
            with method(self, **options) as connection:
                yield connection

        return call

    monkeypatch.setattr(Catalog, "begin", guarded(Catalog.begin))
    monkeypatch.setattr(Catalog, "read", guarded(Catalog.read))


def with_kv_away(monkeypatch: pytest.MonkeyPatch, outage: Outage) -> None:
    def guarded(method: Any) -> Any:
        def call(self: SqlKV, *arguments: Any) -> Any:
            outage.meet()
            return method(self, *arguments)

        return call

    for name in ("get", "put", "scan"):
        monkeypatch.setattr(SqlKV, name, guarded(getattr(SqlKV, name)))


@pytest.mark.slow
@pytest.mark.parametrize("store", [with_catalog_away, with_kv_away])
def test_an_outage_at_any_request_of_a_run_costs_no_run(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch, store: Any
) -> None:
    for after in itertools.count(1):
        run_id = open_run(ready.installation, REQUEST)
        outage = Outage(after)
        with monkeypatch.context() as patched:
            store(patched, outage)
            execute_run(ready.installation, run_id)
        summary = summary_of(ready, run_id)
        assert summary.state is RunState.SUCCEEDED, (after, summary.error)
        if outage.requests < after:
            break
        ready.source["now"] = 1000 + after
        ready.source["changed"] = {str(after): 1000 + after}
        ready.apply()
    assert after > 5
    assert ready.rows(UNIT) == 1000


def test_a_store_that_stays_away_is_the_error_of_the_run_and_not_an_interruption(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = open_run(ready.installation, REQUEST)
    monkeypatch.setattr(start_retry, "STATE_S", 0.05)
    with monkeypatch.context() as patched:
        patched.setattr(SqlKV, "put", lambda *_: (_ for _ in ()).throw(StateUnavailable("the store is away")))
        execute_run(ready.installation, run_id)
    error = summary_of(ready, run_id).error
    assert error is not None
    assert (error.code, error.message) == ("E_STATE_UNREADABLE", "the store is away")


def test_the_end_of_a_run_is_recorded_when_the_catalog_is_back(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 s without the catalog turned runs that had committed into E_RUN_INTERRUPTED."""
    run_id, failures = open_run(ready.installation, REQUEST), iter(range(4))
    written = launch.finish_records

    def finish(*arguments: Any) -> None:
        if next(failures, None) is not None:
            raise StateUnavailable("the catalog is away")
        written(*arguments)

    monkeypatch.setattr(launch, "finish_records", finish)
    execute_run(ready.installation, run_id)
    assert summary_of(ready, run_id).rows.committed == 1000


def test_a_child_that_dies_while_the_catalog_is_away_gets_its_end_when_it_is_back(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record was RUNNING for ever: the server tried once to end it, and the server's own pid kept it alive."""
    failures, ended = iter(range(4)), child_process.fail_run

    def fail(*arguments: Any) -> None:
        if next(failures, None) is not None:
            raise StateUnavailable("the catalog is away")
        ended(*arguments)

    dead = [sys.executable, "-c", "raise SystemExit(1)"]
    monkeypatch.setattr(child_process, "fail_run", fail)
    monkeypatch.setattr(ChildProcessLauncher, "_spawn", lambda *_: subprocess.Popen(dead, stdin=subprocess.DEVNULL))
    launcher = ChildProcessLauncher()
    run_id = launcher.start(ready.installation, REQUEST)
    launcher.join(60)
    error = summary_of(ready, run_id).error
    assert error is not None
    assert error.code == "E_RUN_INTERRUPTED"
