"""The launcher of an installation on one machine: every run is a child process with a session of its own.

Children are forked from a warm process (`fork_server`), or started as interpreters. The child outlives the server that started it, ends its own record, and reads stop requests from the catalog, so a server
may restart at any time. Its log is `<home>/logs/<run id>.log`.

At most `serve.parallel` children of one server run at once. Other runs wait in the order of their start: they have their record, and the
server vouches for them. A stop ends a waiting run; the end of the server interrupts it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

from ingest_ray import logs
from ingest_ray.catalog import endpoints, run_records
from ingest_ray.files.private import make_private_folder, private_opener
from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import ConfigError, IngestError
from ingest_ray.sdk.types import RunFault, RunState
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.job_spec import JobSpec
from ingest_ray.service.launching.lifecycle import (
    WithinStart,
    close_run,
    fail_run,
    open_run,
    read_run_state,
    request_stop,
    vouch_for,
)
from ingest_ray.service.launching.warm_processes import StartedProcess, WarmProcesses
from ingest_ray.service.runs.admission import RunRequest
from ingest_ray.service.runs.parallel import parallel_runs
from ingest_ray.service.runs.run_liveness import VOUCH_EVERY_S
from ingest_ray.service.runs.store_retry import retry_store

log = logging.getLogger(__name__)


class ChildProcessLauncher:
    """`is_warm`: runs are forked from a process that has everything imported, where this system can."""

    def __init__(self, *, is_warm: bool = True) -> None:
        self._processes = WarmProcesses(is_warm=is_warm)
        self._waiters: dict[str, threading.Thread] = {}
        self._running: set[str] = set()
        self._waiting: deque[tuple[Installation, str]] = deque()
        self._untaken: dict[str, Installation] = {}
        self._voucher: threading.Thread | None = None
        self._lock = threading.RLock()

    def start(self, installation: Installation, request: RunRequest, within: WithinStart = lambda _: None) -> str:
        run_id = open_run(installation, request, within=within)
        self._begin_or_wait(installation, run_id)
        return run_id

    def restart(self, installation: Installation, run_id: str) -> None:
        with self._lock:
            is_known = run_id in self._waiters or any(waiting[1] == run_id for waiting in self._waiting)
        if not is_known:
            self._begin_or_wait(installation, run_id)

    def _begin_or_wait(self, installation: Installation, run_id: str) -> None:
        with self._lock:
            self._vouch_for(installation, run_id)
            if len(self._running) >= parallel_runs(installation.settings):
                self._waiting.append((installation, run_id))
                return
            try:
                self._begin(installation, run_id)
            except OSError as error:
                fault = _not_started(error)
                self._untaken.pop(run_id, None)
                fail_run(installation, run_id, fault)
                hint = "look at the memory and the process limits of this machine"
                raise ConfigError(fault.message, hint=hint) from None

    def _begin(self, installation: Installation, run_id: str) -> None:
        child = self._spawn(installation, run_id)
        waiter = threading.Thread(
            target=self._wait, args=(installation, run_id, child), name=f"run-{run_id}", daemon=True
        )
        self._waiters[run_id] = waiter
        self._running.add(run_id)
        waiter.start()

    def _begin_waiting_runs(self) -> None:
        with self._lock:
            while self._waiting and len(self._running) < parallel_runs(self._waiting[0][0].settings):
                installation, run_id = self._waiting.popleft()
                try:
                    self._begin(installation, run_id)
                except OSError as error:
                    self._untaken.pop(run_id, None)
                    end = partial(fail_run, fault=_not_started(error))
                    threading.Thread(target=_report_end, args=(run_id, end, installation), daemon=True).start()

    def _vouch_for(self, installation: Installation, run_id: str) -> None:
        self._untaken[run_id] = installation
        if self._voucher is None:
            self._voucher = threading.Thread(target=self._vouch_always, name="vouch", daemon=True)
            self._voucher.start()

    def _vouch_always(self) -> None:
        """Says every few seconds that the runs without a process still wait for one."""
        while True:
            time.sleep(VOUCH_EVERY_S)
            with self._lock:
                untaken = dict(self._untaken)
            for run_id, installation in untaken.items():
                with suppress(IngestError):  # the catalog may answer again before the vouch is over
                    vouch_for(installation, [run_id])

    def end_waiting_runs(self) -> None:
        """Ends the runs that have not begun, as if each had been paused: for a server that stops."""
        with self._lock:
            waiting, self._waiting = list(self._waiting), deque()
        for installation, run_id in waiting:
            self._untaken.pop(run_id, None)
            _record_end(run_id, close_run, installation)

    def pause(self, installation: Installation, run_id: str, requested_by: str | None) -> None:
        request_stop(installation, run_id, requested_by)
        with self._lock:
            mine = [waiting for waiting in self._waiting if waiting[1] == run_id]
            for waiting in mine:
                self._waiting.remove(waiting)
        if mine:
            self._untaken.pop(run_id, None)
            close_run(installation, run_id)

    def state(self, installation: Installation, run_id: str) -> RunState:
        return read_run_state(installation, run_id)

    def check(self, installation: Installation) -> None:
        """This machine is always there."""

    def is_over(self, installation: Installation, run_id: str) -> bool:
        return True

    @property
    def is_idle(self) -> bool:
        with self._lock:
            return not self._waiters and not self._waiting

    def join(self, timeout_s: float) -> None:
        """Waits for the runs that this process started: for tests, and for a server that shuts down after them."""
        deadline = time.monotonic() + timeout_s
        while (waiters := list(self._waiters.values())) and time.monotonic() < deadline:
            for waiter in waiters:
                waiter.join(max(0.0, deadline - time.monotonic()))

    @property
    def warm_pid(self) -> int | None:
        """The process that runs are forked from; None before the first run, and where there is none."""
        return self._processes.pid

    def close(self) -> None:
        """Ends the warm process; runs go on."""
        self._processes.close()

    def _spawn(self, installation: Installation, run_id: str) -> StartedProcess:
        job = JobSpec(run_id=run_id, settings=installation.settings, trace=tracing.carrier())
        with _open_log_file(installation, run_id) as out:
            return self._processes.start(job, out, _templates_of(installation, run_id))

    def _wait(self, installation: Installation, run_id: str, child: StartedProcess) -> None:
        code = child.wait()
        with self._lock:
            self._running.discard(run_id)
            self._untaken.pop(run_id, None)
            self._begin_waiting_runs()
        if code != 0:
            _report_end(run_id, fail_run, installation)  # changes nothing where the child has written its end
        with self._lock:
            del self._waiters[run_id]


def _not_started(error: OSError) -> RunFault:
    return RunFault(code="E_RUN_INTERRUPTED", message=f"the process of the run could not be started: {error}")


def _report_end(run_id: str, end: Callable[[Installation, str], object], installation: Installation) -> None:
    """Until it is recorded: a record without an end would count as a run that goes on."""
    try:
        retry_store(lambda: end(installation, run_id), limit_s=float("inf"))
    except IngestError as error:
        log.warning("run %s: its end could not be recorded: %s", run_id, logs.scrub(error.message))


def _record_end(run_id: str, end: Callable[[Installation, str], object], installation: Installation) -> None:
    try:
        end(installation, run_id)
    except IngestError as error:
        log.warning("run %s: its end could not be recorded: %s", run_id, logs.scrub(error.message))


def _templates_of(installation: Installation, run_id: str) -> list[str]:
    """Those of the run's source and sink: what a warm process imports before it forks."""
    with suppress(IngestError), installation.catalog.read() as connection:
        record = run_records.find(connection, run_id)
        if record is not None:
            found = [
                endpoints.find(connection, record.summary.endpoint_id, "source"),
                endpoints.find(connection, record.summary.sink_id, "sink"),
            ]
            return [entry.endpoint.template for entry in found if entry is not None]
    return []


def log_path(installation: Installation, run_id: str) -> Path:
    return Path(installation.settings.home) / "logs" / f"{run_id}.log"


def _open_log_file(installation: Installation, run_id: str) -> IO[bytes]:
    path = log_path(installation, run_id)
    make_private_folder(path.parent)
    return open(path, "ab", opener=private_opener)


launcher = ChildProcessLauncher()
