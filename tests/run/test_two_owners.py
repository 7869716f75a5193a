"""Two owners, one commit: a run that is suspended past its lease around its commit, while a run of another host takes the unit over.

The first run is a process with a host identity of its own (a UTS namespace with another name), stopped by SIGSTOP. Its lease is expired in the
state store, which is what the second run finds after `TTL_S`; then the second run commits; then the first one goes on.
"""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_layout import unit_key_of
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.kv import open_state
from ingest_ray.kv.keys import lease_key
from ingest_ray.run.staging_area import staging_for
from ingest_ray.sdk.types import Endpoint, RunState, RunSummary
from ingest_ray.state import read_states
from ingest_ray.state.lease import is_live, this_process
from ingest_ray.state.unit_state import read_lease
from ingest_ray.testing.servers.postgres import Postgres
from tests.forks import run_module
from tests.other_host import NOT_ALLOWED
from tests.run.installation import Installation

pytestmark = pytest.mark.slow

UNIT = "numbers-2x400"
POLICY = {"cursor": "at", "write": "append", "target_slice_bytes": 64 * 1024}
WAIT_S = 300.0  # a busy machine; each wait ends with its condition


def sink_of(there: Installation, kind: str, pg: Postgres | None) -> Endpoint:
    configs: dict[str, tuple[str, dict[str, Any]]] = {
        "delta": ("lake.delta", {"uri": str(there.folder / "lake")}),
        "iceberg": ("lake.iceberg", {"warehouse": str(there.folder / "lake")}),
        "parquet": ("lake.parquet", {"uri": str(there.folder / "lake")}),
        "sqlite": ("sql", {"url": f"sqlite:///{there.folder}/sink.db"}),
        "duckdb": ("duckdb", {"path": str(there.folder / "sink.duckdb")}),
        "postgres": ("sql", {"url": pg.url if pg is not None else ""}),
    }
    template, config = configs[kind]
    return Endpoint(endpoint_id="lake", template=template, config=config)


@dataclass
class OtherOwner:
    """A run of another host."""

    pid: int
    ended: "Future[subprocess.CompletedProcess[str]]"

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def end(self) -> None:
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.ended.result(WAIT_S)


def suspended(there: Installation, order: RunOrder, step: str) -> OtherOwner:
    """Returns when the run has stopped itself at the step."""
    path, pid_file = write_order_of(there, order), there.folder / f"{order.run_id}.pid"
    environment = os.environ | {"INGEST_FAILPOINT": step, "INGEST_FAILPOINT_SIGNAL": "SIGSTOP"}
    arguments = [str(pid_file), "tests.run.run_process", str(path)]
    with_thread = ThreadPoolExecutor(1)
    ended = with_thread.submit(run_module, "tests.other_host", *arguments, env=environment)
    with_thread.shutdown(wait=False)
    deadline = time.monotonic() + WAIT_S
    while not (pid_file.exists() and state_of(int(pid_file.read_text())) == "T"):
        if ended.done():
            if ended.result().returncode == NOT_ALLOWED:
                pytest.skip("needs the right to make a UTS namespace (CAP_SYS_ADMIN)")
            raise AssertionError(f"the run did not come to the step: {ended.result()}")
        assert time.monotonic() < deadline, "the run did not come to the step"
        time.sleep(0.02)
    return OtherOwner(int(pid_file.read_text()), ended)


def write_order_of(there: Installation, order: RunOrder) -> Path:
    path = there.folder / f"{order.run_id}.json"
    path.write_text(json.dumps(order.model_dump(mode="json")))
    return path


def state_of(pid: int) -> str:
    """`T`: stopped; empty where there is no such process."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def expire_lease(there: Installation, order: RunOrder) -> None:
    kv, key = open_state(there.settings), lease_key(unit_key_of(order))
    found = kv.get(key)
    assert found is not None
    kv.put(key, {**found[0], "expires_at": time.time() - 1}, found[1])


def rows_of(order: RunOrder) -> Counter[Any]:
    """The keys in the sink, by the sink's own means."""
    writer = writer_for(order, staging_for(order))
    found: Counter[Any] = Counter()
    for batch in writer.sink.keys(writer.target.model_copy(update={"key": ("id",)}), writer._schema):  # type: ignore[attr-defined]
        found.update(batch.column(0).to_pylist())
    return found


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        *itertools.product(["delta", "sqlite", "duckdb", "postgres"], ["sink:before-commit@2", "sink:after-commit@2"]),
        ("delta", "sink:in-commit@2"),  # after it compared its epoch with the table's
        ("iceberg", "sink:before-catalog@3"),  # likewise, with every file of the commit written
        *itertools.product(["parquet"], ["sink:in-commit@2", "parquet:before-manifest@4", "parquet:before-pointer@4"]),
    ],
)
def test_of_two_owners_one_commits(tmp_path: Path, kind: str, step: str, request: pytest.FixtureRequest) -> None:
    pg = request.getfixturevalue("pg") if kind == "postgres" else None
    there = Installation(tmp_path, unit=UNIT, policy=POLICY)
    sink = sink_of(there, kind, pg)
    first, second = (there.order().model_copy(update={"sink": sink}) for _ in range(2))
    other = suspended(there, first, step)
    try:
        lease = read_lease(open_state(there.settings), unit_key_of(first))
        assert lease is not None
        assert is_live(lease)
        assert lease.owner.host != this_process().host
        expire_lease(there, first)
        summary = there.run(second)
        assert summary.state is RunState.SUCCEEDED, summary.error
        rows, progress = rows_of(second), writer_for(second, staging_for(second)).read_progress()
        state = read_states(open_state(there.settings), unit_key_of(second))
        assert rows == there.expected_ids()
        other.go_on()
        done = other.ended.result(WAIT_S)
    finally:
        other.end()
    assert json.loads(done.stdout.strip().splitlines()[-1])["error"]["code"] == "E_RUN_FENCED", done
    assert rows_of(second) == there.expected_ids()
    assert writer_for(second, staging_for(second)).read_progress() == progress
    after = read_states(open_state(there.settings), unit_key_of(second))
    assert after == state
    assert there.run(second.model_copy(update={"run_id": "third"})).rows.read == 0


@pytest.mark.parametrize("kind", ["sqlite", "duckdb", "postgres"])
def test_a_transaction_that_is_suspended_before_its_end_is_the_one_that_commits(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    """It holds the row of the ledger, or the file: the second run waits. The first one's commit is the one; the state has it."""
    pg = request.getfixturevalue("pg") if kind == "postgres" else None
    there = Installation(tmp_path, unit=UNIT, policy=POLICY)
    sink = sink_of(there, kind, pg)
    first, second = (there.order().model_copy(update={"sink": sink}) for _ in range(2))
    other = suspended(there, first, "sink:in-commit@2")
    summaries: list[RunSummary] = []
    try:
        expire_lease(there, first)
        thread = threading.Thread(target=lambda: summaries.append(there.run(second)))
        thread.start()
        deadline = time.monotonic() + WAIT_S
        while (
            lease := read_lease(open_state(there.settings), unit_key_of(second))
        ) is None or lease.run_id != second.run_id:
            assert time.monotonic() < deadline, "the second run did not take the unit over"
            time.sleep(0.02)
        other.go_on()
        done = other.ended.result(WAIT_S)
        thread.join()
    finally:
        other.end()
    assert json.loads(done.stdout.strip().splitlines()[-1])["error"]["code"] == "E_RUN_FENCED", done
    if summaries[0].state is not RunState.SUCCEEDED:
        # The first one's last writes to the state fence the second one, too, or the file was locked for longer than a run waits: it
        # costs a run, never a row.
        assert summaries[0].error is not None
        assert summaries[0].error.code in ("E_RUN_FENCED", "E_SINK_WRITE_FAILED")
        assert there.run(second.model_copy(update={"run_id": "again"})).state is RunState.SUCCEEDED
    assert rows_of(second) == there.expected_ids()
    assert there.run(second.model_copy(update={"run_id": "third"})).rows.read == 0
