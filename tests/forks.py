"""Processes forked from one that has imported what commands and runs import: 50 ms each instead of a second.

A forked process is a whole process, which a test may kill: its own id, exit code, environment, folder and files. The
server that forks it has opened nothing, so its fork is what a start of Python leaves after its imports.
"""

import atexit
import json
import os
import runpy
import subprocess
import sys
import tempfile
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


def _ask(order: dict[str, Any]) -> int:
    """Asks a server that has no other order: threads that ask at once have one each, and their processes run at once."""
    try:
        server = _free.pop()
    except IndexError:
        server = _started()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(f"{json.dumps(order)}\n")
    server.stdin.flush()
    code = int(server.stdout.readline())
    _free.append(server)
    return code


_free: "list[subprocess.Popen[str]]" = []


def _started() -> "subprocess.Popen[str]":
    """Ends when this process does: its stdin is then at its end."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.forks"],
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
    for name in PRELOADED:
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
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, name in ((1, order["out"]), (2, order["err"])):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), number)
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
