"""The launcher of an installation on one machine: every run is a child process with a session of its own.

The child outlives the server that started it, ends its own record, and reads stop requests from the catalog, so a server
may restart at any time. Its log is `<home>/logs/<run id>.log`.
"""

import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from ingest_ray import logs
from ingest_ray.files.private import make_private_folder, private_opener
from ingest_ray.sdk.errors import ConfigError, IngestError
from ingest_ray.sdk.types import RunFault, RunState
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.job_spec import JobSpec
from ingest_ray.service.launching.lifecycle import fail_run, open_run, read_run_state, request_stop
from ingest_ray.service.runs.admission import RunRequest

log = logging.getLogger(__name__)


class ChildProcessLauncher:
    def __init__(self) -> None:
        self._waiters: dict[str, threading.Thread] = {}

    def start(self, installation: Installation, request: RunRequest) -> str:
        run_id = open_run(installation, request)
        try:
            child = self._spawn(installation, run_id)
        except OSError as error:
            fault = RunFault(code="E_RUN_INTERRUPTED", message=f"the process of the run could not be started: {error}")
            fail_run(installation, run_id, fault)
            raise ConfigError(fault.message, hint="look at the memory and the process limits of this machine") from None
        waiter = threading.Thread(
            target=self._wait, args=(installation, run_id, child), name=f"run-{run_id}", daemon=True
        )
        self._waiters[run_id] = waiter
        waiter.start()
        return run_id

    def pause(self, installation: Installation, run_id: str, requested_by: str | None) -> None:
        request_stop(installation, run_id, requested_by)

    def state(self, installation: Installation, run_id: str) -> RunState:
        return read_run_state(installation, run_id)

    def join(self, timeout_s: float) -> None:
        """Waits for the runs that this process started: for tests, and for a server that shuts down after them."""
        for waiter in list(self._waiters.values()):
            waiter.join(timeout_s)

    def _spawn(self, installation: Installation, run_id: str) -> "subprocess.Popen[bytes]":
        job = JobSpec(run_id=run_id, settings=installation.settings)
        with _open_log_file(installation, run_id) as out:
            child = subprocess.Popen(
                [sys.executable, "-m", "ingest_ray.service.launching.run_process"],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        assert child.stdin is not None
        try:
            with child.stdin:
                child.stdin.write(job.model_dump_json().encode())
        except BrokenPipeError:  # it ended at once: `_wait` records that
            log.warning("the process of run %s did not read its job", run_id)
        return child

    def _wait(self, installation: Installation, run_id: str, child: "subprocess.Popen[bytes]") -> None:
        code = child.wait()
        del self._waiters[run_id]
        if code == 0:
            return
        try:
            fail_run(installation, run_id)  # changes nothing where the child has written its end
        except IngestError as error:
            log.warning("run %s: its end could not be recorded: %s", run_id, logs.scrub(error.message))


def _log_path(installation: Installation, run_id: str) -> Path:
    return Path(installation.settings.home) / "logs" / f"{run_id}.log"


def _open_log_file(installation: Installation, run_id: str) -> IO[bytes]:
    path = _log_path(installation, run_id)
    make_private_folder(path.parent)
    return open(path, "ab", opener=private_opener)


launcher = ChildProcessLauncher()
