"""A process that has everything imported, and forks itself for each run: what a run's process costs otherwise is mostly its imports.

Every run is a process of its own, in a session of its own, with the environment, the folder and the log that its starter names: nothing
of one run is in the next one, a run that dies costs itself only, and signals reach it as they reach any process. The server itself
never opens a store, a source or a sink, and has no threads that a fork would lose.

It reads requests from a socket on descriptor 0: a number, and descriptors of the log and of the request's JSON. It answers with the
process id of each run, and later with its exit code. It ends when its starter does; runs go on.

Linux only: https://man7.org/linux/man-pages/man2/fork.2.html.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from typing import Any

from ingest_ray import logs
from ingest_ray.process.stop_signals import StopSignals
from ingest_ray.registry import sink_family, sink_templates, strategy_for, strategy_templates
from ingest_ray.sdk.errors import IngestError
from ingest_ray.service.launching import run_process
from ingest_ray.service.launching.job_spec import JobSpec

MESSAGE_BYTES = 4096
# Threads of allocators, which go on in both processes: https://jemalloc.net/jemalloc.3.html#background_thread.
_SAFE_THREADS = frozenset({"jemalloc_bg_thd"})


class ForkServer:
    def __init__(self, starter: socket.socket) -> None:
        self._starter = starter
        self._numbers: dict[int, int] = {}
        self._ends, self._ended = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> None:
        signal.signal(signal.SIGCHLD, lambda *_: None)  # the signal writes to the pipe
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the starter's terminal
        signal.set_wakeup_fd(self._ended)
        while True:
            readable, _, _ = select.select([self._starter.fileno(), self._ends], [], [])
            if self._ends in readable:
                os.read(self._ends, MESSAGE_BYTES)
                self._report_ends()
            if self._starter.fileno() in readable and not self._take_request():
                return

    def _take_request(self) -> bool:
        """False where the starter has ended."""
        message, descriptors, _, _ = socket.recv_fds(self._starter, MESSAGE_BYTES, 2)
        if not message:
            return False
        number, (log, text) = int(message), descriptors
        with open(text, "rb") as file:
            file.seek(0)
            request: dict[str, Any] = json.loads(file.read())
        load_templates(request["templates"])
        if unsafe := unsafe_threads():
            self._answer({"number": number, "refused": f"a library has started threads: {', '.join(unsafe)}"})
        else:
            gc.freeze()  # the collector of a child touches, and so copies, no page of what is here
            pid = os.fork()
            if pid == 0:
                self._become_run(request, log)
            self._numbers[pid] = number
            self._answer({"number": number, "pid": pid})
        os.close(log)
        return True

    def _become_run(self, request: dict[str, Any], log: int) -> None:
        """Never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for one in (signal.SIGCHLD, signal.SIGINT):
                signal.signal(one, signal.SIG_DFL)
            os.setsid()
            self._starter.close()
            nothing = os.open(os.devnull, os.O_RDONLY)
            for descriptor, target in ((nothing, 0), (log, 1), (log, 2)):
                os.dup2(descriptor, target)
            os.chdir(request["folder"])
            os.environ.clear()
            os.environ.update(request["environment"])
            logs.configure("json", "info")
            stop = StopSignals()
            stop.install()
            code = run_process.run_job(JobSpec.model_validate_json(request["job"]), stop)
        except BaseException as error:
            code = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)  # nothing of the server's own end

    def _report_ends(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = self._numbers.pop(pid, None)
            if number is not None:
                self._answer({"number": number, "code": os.waitstatus_to_exitcode(status)})

    def _answer(self, document: dict[str, Any]) -> None:
        try:
            self._starter.send(json.dumps(document).encode())
        except OSError:  # the starter has ended; the next read says so
            return


def load_templates(templates: list[str]) -> None:
    """Imports the sources and sinks that the run may need: a template that is not there is the run's own error."""
    known_sinks, known_sources = sink_templates(), strategy_templates()
    for template in templates:
        try:
            if template in known_sinks:
                load = getattr(sink_family(template), "load", None)
                if load is not None:
                    load()
            elif template in known_sources:
                strategy_for(template)
        except IngestError:
            continue


def unsafe_threads() -> list[str]:
    """The names of the threads of this process that a fork would lose."""
    found = []
    for task in os.listdir("/proc/self/task"):
        if int(task) == os.getpid():
            continue
        try:
            with open(f"/proc/self/task/{task}/comm") as file:
                found.append(file.read().strip())
        except FileNotFoundError:
            continue
    return [name for name in found if name not in _SAFE_THREADS]


def main() -> int:
    starter = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    ForkServer(starter).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
