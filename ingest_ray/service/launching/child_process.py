"""The launcher of an installation on one machine: every run is a child process with a session of its own.

The child outlives the server that started it, ends its own record, and reads stop requests from the catalog, so a server
may restart at any time. Its log is `<home>/logs/<run id>.log`.

At most `serve.parallel` children of one server run at once. Other runs wait in the order of their start: they have their record, and the
server vouches for them. A stop ends a waiting run; the end of the server interrupts it.
"""

import logging
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

from ingest_ray import logs
from ingest_ray.files.private import make_private_folder, private_opener
from ingest_ray.sdk.errors import ConfigError, IngestError
from ingest_ray.sdk.types import RunFault, RunState
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.job_spec import JobSpec
from ingest_ray.service.launching.lifecycle import close_run, fail_run, open_run, read_run_state, request_stop
from ingest_ray.service.runs.admission import RunRequest
from ingest_ray.service.runs.parallel import parallel_runs

log = logging.getLogger(__name__)


class ChildProcessLauncher:
    def __init__(self) -> None:
        self._waiters: dict[str, threading.Thread] = {}
        self._waiting: deque[tuple[Installation, str]] = deque()
        self._lock = threading.RLock()

    def start(self, installation: Installation, request: RunRequest) -> str:
        run_id = open_run(installation, request)
        with self._lock:
            if len(self._waiters) >= parallel_runs(installation.settings):
                self._waiting.append((installation, run_id))
                return run_id
            try:
                self._begin(installation, run_id)
            except OSError as error:
                fault = _not_started(error)
                fail_run(installation, run_id, fault)
                hint = "look at the memory and the process limits of this machine"
                raise ConfigError(fault.message, hint=hint) from None
        return run_id

    def _begin(self, installation: Installation, run_id: str) -> None:
        child = self._spawn(installation, run_id)
        waiter = threading.Thread(
            target=self._wait, args=(installation, run_id, child), name=f"run-{run_id}", daemon=True
        )
        self._waiters[run_id] = waiter
        waiter.start()

    def _begin_waiting_runs(self) -> None:
        with self._lock:
            while self._waiting and len(self._waiters) < parallel_runs(self._waiting[0][0].settings):
                installation, run_id = self._waiting.popleft()
                try:
                    self._begin(installation, run_id)
                except OSError as error:
                    _record_end(run_id, partial(fail_run, fault=_not_started(error)), installation)

    def end_waiting_runs(self) -> None:
        """Ends the runs that have not begun, as if each had been paused: for a server that stops."""
        with self._lock:
            waiting, self._waiting = list(self._waiting), deque()
        for installation, run_id in waiting:
            _record_end(run_id, close_run, installation)

    def pause(self, installation: Installation, run_id: str, requested_by: str | None) -> None:
        request_stop(installation, run_id, requested_by)
        with self._lock:
            mine = [waiting for waiting in self._waiting if waiting[1] == run_id]
            for waiting in mine:
                self._waiting.remove(waiting)
        if mine:
            close_run(installation, run_id)

    def state(self, installation: Installation, run_id: str) -> RunState:
        return read_run_state(installation, run_id)

    def join(self, timeout_s: float) -> None:
        """Waits for the runs that this process started: for tests, and for a server that shuts down after them."""
        deadline = time.monotonic() + timeout_s
        while (waiters := list(self._waiters.values())) and time.monotonic() < deadline:
            for waiter in waiters:
                waiter.join(max(0.0, deadline - time.monotonic()))

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
        if code != 0:
            _record_end(run_id, fail_run, installation)  # changes nothing where the child has written its end
        with self._lock:
            del self._waiters[run_id]
            self._begin_waiting_runs()


def _not_started(error: OSError) -> RunFault:
    return RunFault(code="E_RUN_INTERRUPTED", message=f"the process of the run could not be started: {error}")


def _record_end(run_id: str, end: Callable[[Installation, str], object], installation: Installation) -> None:
    try:
        end(installation, run_id)
    except IngestError as error:
        log.warning("run %s: its end could not be recorded: %s", run_id, logs.scrub(error.message))


def log_path(installation: Installation, run_id: str) -> Path:
    return Path(installation.settings.home) / "logs" / f"{run_id}.log"


def _open_log_file(installation: Installation, run_id: str) -> IO[bytes]:
    path = log_path(installation, run_id)
    make_private_folder(path.parent)
    return open(path, "ab", opener=private_opener)


launcher = ChildProcessLauncher()
