"""Where the compiled code of the MySQL reader is stored, and when it is compiled."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

NOTHING_WRITABLE = """
import logging, sys
from numba.core import caching
logging.basicConfig()
def refused(self):
    raise PermissionError("read-only")
caching._CacheLocator.ensure_cache_path = refused
from ingest_strategies.jdbc.mysql import packet_kernel as mysql_kernel
print(len(mysql_kernel.split_rows.signatures), len(mysql_kernel.gather_column.signatures))
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)


def test_where_nothing_can_be_written_each_process_compiles_for_itself_and_says_so() -> None:
    done = run(NOTHING_WRITABLE)
    assert done.stdout == "1 1\n", done.stderr
    assert done.stderr.count("compiled for this process only") == 2


def test_processes_that_compile_at_once_all_succeed(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    command = [
        sys.executable,
        "-c",
        "from ingest_strategies.jdbc.mysql import packet_kernel as k; print(len(k.split_rows.signatures))",
    ]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=100)[0] for process in started] == ["1\n"] * 3


def test_a_function_that_cannot_be_compiled_is_an_error() -> None:
    from numba.core.errors import NumbaError

    from ingest_strategies.jdbc.values.machine_code import compiled

    def unknown(value):  # type: ignore[no-untyped-def]
        return value.no_such_thing

    with pytest.raises(NumbaError):
        compiled("int64(int64)")(unknown)


def test_the_strategy_loads_without_it() -> None:
    done = run(
        "import sys, ingest_strategies.jdbc.mysql.dialect; print('numba' in sys.modules, 'numpy' in sys.modules)"
    )
    assert done.stdout.startswith("False"), done.stdout + done.stderr
