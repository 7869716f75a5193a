"""Processes forked from one that has imported what commands and runs import: 50 ms each instead of a second.

A forked process is a whole process, which a test may kill: its own id, exit code, environment, folder and files. The
server that forks it has opened nothing, so its fork is what a start of Python leaves after its imports.
"""

import atexit
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PRELOADED = [
    "adbc_driver_manager.dbapi",
    "deltalake",
    "duckdb",
    "ingest_ray.cli.app",
    "ingest_ray.run",
    "ingest_ray.testing.scripted",
    "ingest_strategies.jdbc.templates",
    "pg8000.dbapi",
    "sqlalchemy.dialects.sqlite",
]


def run_module(
    module: str, *arguments: str, env: dict[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Like `python -m module arguments`, with nothing on stdin; waits for its end. A negative exit code is a signal."""
    return _run({"argv": [module, *arguments]}, env, cwd)


def run_code(
    code: str, *arguments: str, env: dict[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Likewise `python -c code arguments`."""
    return _run({"argv": ["-c", *arguments], "code": code}, env, cwd)


def _run(command: dict[str, Any], env: dict[str, str] | None, cwd: Path) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        order = {**command, "env": dict(os.environ if env is None else env), "cwd": str(cwd)}
        code = _ask({**order, "out": str(out), "err": str(err)})
        return subprocess.CompletedProcess(command["argv"], code, out.read_text(), err.read_text())


class ForkedProcess:
    """A module that runs as a process; what a test needs of `subprocess.Popen`, with both outputs as text.

    `preloaded` names more modules that the server imports before it forks.
    """

    def __init__(self, module: str, *arguments: str, cwd: Path, preloaded: Sequence[str] = ()) -> None:
        self.returncode: int | None = None
        self._preloaded = tuple(preloaded)
        self._outputs = [_Output(), _Output()]
        order = {"argv": [module, *arguments], "env": dict(os.environ), "cwd": str(cwd), "is_announced": True}
        self._server = _send({**order, "out": self._outputs[0].path, "err": self._outputs[1].path}, self._preloaded)
        self.pid = _read_number(self._server)
        for output in self._outputs:
            output.let_go()
        self._end = threading.Thread(target=self._await_end, daemon=True)
        self._end.start()

    def _await_end(self) -> None:
        self.returncode = _read_number(self._server)
        _free.setdefault(self._preloaded, []).append(self._server)

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._end.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Waits also for processes that it started and that have its outputs."""
        until = None if timeout is None else time.monotonic() + timeout
        for thread in (self._end, *self._outputs):
            thread.join(None if until is None else max(0.0, until - time.monotonic()))
            if thread.is_alive():
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return self._outputs[0].text, self._outputs[1].text

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class _Output(threading.Thread):
    """Reads a pipe to its end. Another process opens it by its path, until it is let go here."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.text = ""
        self._reads, self._writes = os.pipe()
        self.path = f"/proc/{os.getpid()}/fd/{self._writes}"

    def let_go(self) -> None:
        os.close(self._writes)
        self.start()

    def run(self) -> None:
        with os.fdopen(self._reads, errors="replace") as pipe:
            self.text = pipe.read()


def _ask(order: dict[str, Any]) -> int:
    """Asks a server that has no other order: threads that ask at once have one each, and their processes run at once."""
    server = _send(order, ())
    code = _read_number(server)
    _free.setdefault((), []).append(server)
    return code


def _send(order: dict[str, Any], preloaded: tuple[str, ...]) -> "subprocess.Popen[str]":
    try:
        server = _free.setdefault(preloaded, []).pop()
    except IndexError:
        server = _started(preloaded)
    assert server.stdin is not None
    server.stdin.write(f"{json.dumps(order)}\n")
    server.stdin.flush()
    return server


def _read_number(server: "subprocess.Popen[str]") -> int:
    assert server.stdout is not None
    return int(server.stdout.readline())


_free: "dict[tuple[str, ...], list[subprocess.Popen[str]]]" = {}


def _started(preloaded: tuple[str, ...]) -> "subprocess.Popen[str]":
    """Ends when this process does: its stdin is then at its end."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.forks", *preloaded],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(_end, server)
    return server


def _end(server: "subprocess.Popen[str]") -> None:
    server.communicate(timeout=60)


def _serve() -> None:
    for name in [*PRELOADED, *sys.argv[1:]]:
        import_module(name)
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(order)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(order: dict[str, Any]) -> None:
    code = 1
    try:
        os.environ.clear()
        os.environ.update(order["env"])
        os.chdir(order["cwd"])
        announced = os.dup(1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, name in ((1, order["out"]), (2, order["err"])):
            opened = os.open(name, os.O_WRONLY | os.O_CREAT)
            os.dup2(opened, number)
            os.close(opened)
        if order.get("is_announced"):
            os.setsid()
            os.write(announced, f"{os.getpid()}\n".encode())
        os.close(announced)
        sys.argv = order["argv"]
        if "code" in order:
            exec(compile(order["code"], "<code of a test>", "exec"), {"__name__": "__main__"})  # noqa: S102  # a test's own code
        else:
            runpy.run_module(order["argv"][0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        atexit._run_exitfuncs()
        os._exit(code)


if __name__ == "__main__":
    _serve()
