"""Runs of this machine that nobody waits for: a process of its own starts their processes, at most `serve.parallel` at once.

`python -m ingest_ray.service.launching.detached_runs` reads its runs from standard input, writes one line when it vouches for all of
them, and ends with the last of them. SIGTERM ends the runs that have not begun as paused, and leaves the others alone.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from ingest_ray import logs
from ingest_ray.catalog import run_records
from ingest_ray.files.private import make_private_folder, private_opener
from ingest_ray.process.stop_signals import StopSignals
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.types import Model, RunFault, RunSummary
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.child_process import ChildProcessLauncher, log_path
from ingest_ray.service.launching.lifecycle import adopt_run, fail_run, open_run
from ingest_ray.service.runs.admission import Refusal, RunRequest
from ingest_ray.settings import Settings

READY = b"ready\n"


class DetachedOrder(Model):
    run_ids: tuple[str, ...]
    settings: Settings


def start_detached(
    installation: Installation, requests: Sequence[RunRequest]
) -> tuple[list[RunSummary], list[Refusal]]:
    """Returns when another process vouches for every run: this one may end. FAILED: no process could be started."""
    opened: list[str] = []
    refused: list[Refusal] = []
    for request in requests:
        try:
            opened.append(open_run(installation, request))
        except IngestError as error:
            refused.append(Refusal(request.ref, error))
    if opened and (reason := _start_process(installation, opened)) is not None:
        for run_id in opened:
            fail_run(installation, run_id, RunFault(code="E_RUN_INTERRUPTED", message=reason))
    with installation.catalog.read() as connection:
        records = [run_records.find(connection, run_id) for run_id in opened]
    return [record.summary for record in records if record is not None], refused


def _start_process(installation: Installation, run_ids: Sequence[str]) -> str | None:
    """Why it does not run; None where it does."""
    order = DetachedOrder(run_ids=tuple(run_ids), settings=installation.settings)
    path = log_path(installation, f"detached-{datetime.now(UTC):%Y%m%d}")
    make_private_folder(path.parent)
    try:
        with open(path, "ab", opener=private_opener) as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ingest_ray.service.launching.detached_runs"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdout as out:
            with process.stdin as into:
                into.write(order.model_dump_json().encode())
            if out.readline() == READY:
                return None
        return f"the process that starts the runs ended with exit code {process.wait()}: see {path}"
    except OSError as error:
        return f"the process that starts the runs could not be started: {error}"


def main() -> int:
    logs.configure("json", "info")
    order = DetachedOrder.model_validate_json(sys.stdin.buffer.read())
    installation, launcher = Installation(order.settings), ChildProcessLauncher()
    for run_id in order.run_ids:
        with installation.catalog.read() as connection:
            record = run_records.find(connection, run_id)
        if record is not None and adopt_run(installation, record):
            launcher.restart(installation, run_id)
    os.write(1, READY)
    os.dup2(2, 1)  # the process that waited for the line ends now
    stop = StopSignals()
    stop.install()
    while not launcher.is_idle:
        launcher.join(1.0)
        if stop.is_requested():
            launcher.end_waiting_runs()
    return 0


if __name__ == "__main__":
    sys.exit(main())
