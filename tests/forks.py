"""Processes for tests to kill, forked from one that has imported what runs import: 20 ms instead of a second.

A forked process is a whole process: its own id, exit code, environment and files. The server that forks it has one
thread and opens nothing, so a fork of it is what a start of Python leaves after its imports.
"""

import atexit
import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PRELOADED = ["ingest_ray.run", "ingest_ray.testing.scripted", "deltalake", "duckdb", "sqlalchemy.dialects.sqlite"]


def run_module(module: str, *arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Like `python -m module arguments`: waits for its end, and gives its exit code (negative: the signal) and stderr."""
    with tempfile.NamedTemporaryFile() as err:
        order = {"argv": [module, *arguments], "env": env, "err": err.name}
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(f"{json.dumps(order)}\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess([module, *arguments], code, "", Path(err.name).read_text())


@cache
def _server() -> "subprocess.Popen[str]":
    """Ends when this process does: its stdin is then at its end."""
    command = [sys.executable, "-m", "tests.forks"]
    single_threaded = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    server = subprocess.Popen(
        command, cwd=ROOT, env=single_threaded, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(_end, server)
    return server


def _end(server: "subprocess.Popen[str]") -> None:
    server.communicate(timeout=60)


def _serve() -> None:
    for name in PRELOADED:
        __import__(name)
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(order["argv"], order["env"], order["err"])
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(argv: Sequence[str], env: dict[str, str], err: str) -> None:
    code = 1
    try:
        os.environ.clear()
        os.environ.update(env)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.dup2(os.open(err, os.O_WRONLY), 2)
        sys.argv = list(argv)
        runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
