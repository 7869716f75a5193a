"""Starts the processes of runs: by forking one that has everything imported where this system can, else by starting an interpreter.

The warm process belongs to this one, is started with the first run, and ends with it. One that has died, or that a library has made unfit
for forks, is replaced by a plain start of each run.
"""

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import IO, Any, Protocol

from ingest_ray.service.launching.job_spec import JobSpec
from ingest_ray.state.documents import Owner
from ingest_ray.state.lease import this_process

log = logging.getLogger(__name__)

IS_POSSIBLE = sys.platform == "linux"
ANSWER_S = 30.0  # the first run waits for all imports of the warm process
GONE_EVERY_S = 1.0
MESSAGE_BYTES = 4096


class StartedProcess(Protocol):
    pid: int

    def wait(self) -> int:
        """The exit code; negative: the signal that ended it."""
        ...


class WarmProcesses:
    """`start` may be called by several threads."""

    def __init__(self, *, is_warm: bool = True) -> None:
        self._server: _Server | None = None
        self._lock = threading.Lock()
        self._is_unfit = not is_warm or not IS_POSSIBLE

    @property
    def pid(self) -> int | None:
        """Of the warm process."""
        return self._server.pid if self._server is not None else None

    def close(self) -> None:
        with self._lock:
            if self._server is not None:
                self._server.close()
                self._server = None

    def start(self, job: JobSpec, out: IO[bytes], templates: Sequence[str] = ()) -> StartedProcess:
        """A process that carries out the run of `job`, and writes to `out`.

        Raises:
            OSError: no process could be started.
        """
        if not self._is_unfit:
            try:
                return self._forked(job, out, templates)
            except _Unfit as error:
                log.warning("runs are started without a warm process: %s", error)
                self._is_unfit = True
            except OSError as error:
                log.warning("the warm process does not answer, this run is started without it: %s", error)
        return _interpreter(job, out)

    def _forked(self, job: JobSpec, out: IO[bytes], templates: Sequence[str]) -> StartedProcess:
        with self._lock:
            if self._server is None or not self._server.is_alive:
                self._server = _Server()
                weakref.finalize(self, self._server.close)  # at the latest when this process ends
            server = self._server
        return server.start(job, out, templates)


class _Unfit(Exception):
    pass


class _Server:
    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ingest_ray.service.launching.fork_server"],
                stdin=theirs.fileno(),
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # its threads would be lost by a fork
                start_new_session=True,
            )
        self._pids: dict[int, Future[int]] = {}
        self._codes: dict[int, Future[int]] = {}
        self._count = 0
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="warm-process", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        number: int = self._process.pid
        return number

    @property
    def is_alive(self) -> bool:
        return self._reader.is_alive() and self._process.poll() is None

    def start(self, job: JobSpec, out: IO[bytes], templates: Sequence[str]) -> StartedProcess:
        document = {
            "job": job.model_dump_json(),
            "templates": list(templates),
            "environment": dict(os.environ),
            "folder": os.getcwd(),
        }
        with open(os.memfd_create("ingest-job"), "w+b") as text:  # it may be larger than a message
            text.write(json.dumps(document).encode())
            text.flush()
            with self._lock:
                self._count += 1
                number = self._count
                self._pids[number], self._codes[number] = Future(), Future()
                pid, code = self._pids[number], self._codes[number]
                socket.send_fds(self._socket, [str(number).encode()], [out.fileno(), text.fileno()])
        try:
            return _ForkedProcess(pid.result(ANSWER_S), code)
        except TimeoutError:
            raise OSError("no answer") from None

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(10)
        self._socket.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)

    def _read(self) -> None:
        with suppress(OSError):
            while message := self._socket.recv(MESSAGE_BYTES):
                self._note(json.loads(message))
        with self._lock:
            waiting = [*self._pids.values(), *self._codes.values()]
            self._pids, self._codes = {}, {}
        for future in waiting:
            if not future.done():
                future.set_exception(OSError("it has ended"))

    def _note(self, answer: dict[str, Any]) -> None:
        number = answer["number"]
        with self._lock:
            if "pid" in answer:
                self._pids.pop(number).set_result(answer["pid"])
            elif "refused" in answer:
                self._codes.pop(number)
                self._pids.pop(number).set_exception(_Unfit(answer["refused"]))
            else:
                self._codes.pop(number).set_result(answer["code"])


class _ForkedProcess:
    """The child of the warm process. Where that dies before it, nobody has its exit code: its end is seen, and counts as an error."""

    def __init__(self, pid: int, code: "Future[int]") -> None:
        self.pid = pid
        self._code = code
        self._owner = this_process(pid)

    def wait(self) -> int:
        try:
            return self._code.result()
        except OSError:
            while _is_running(self._owner):
                threading.Event().wait(GONE_EVERY_S)
            return 1


def _is_running(owner: Owner) -> bool:
    return bool(owner.started) and this_process(owner.pid).started == owner.started


def _interpreter(job: JobSpec, out: IO[bytes]) -> "subprocess.Popen[bytes]":
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
    except BrokenPipeError:  # it ended at once: `wait` says so
        log.warning("the process of run %s did not read its job", job.run_id)
    return child
