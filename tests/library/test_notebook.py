"""A project in a notebook: cells run while an event loop runs, `await` is allowed, and results are shown as tables.

A kernel runs cells by `run_cell_async` in its loop: https://ipython.readthedocs.io/en/stable/interactive/autoawait.html
"""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.library.test_project import document

CELLS = [
    "import ingest_ray; project = ingest_ray.open('ingest.yaml')",
    "project.apply()",
    "project.collect('shop')",
    "project.plan('shop', 'orders')",
    "project.run('shop')",
    "add_order(); await project.run_async('shop')",
    "project.status()",
    "project.verify('shop', rows=True)",
    "project.read('shop', 'orders', ['id', 'total']).sort_by('id').to_pylist()",
    "project.plan('shop', 'nothing')",
    "project.close()",
]
KERNEL = """
import asyncio, builtins, json, sqlite3, sys
from contextlib import closing
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

class ZMQInteractiveShell(InteractiveShell):  # the name by which libraries find out that they are in a kernel
    def enable_gui(self, gui=None): pass

def add_order():
    with closing(sqlite3.connect("shop.db")) as shop, shop:
        shop.execute("insert into orders values (3, 3.5, 'g@h.i', '2026-01-03 10:00:00')")

config = Config()
config.HistoryManager.enabled = False
shell = ZMQInteractiveShell(config=config, user_ns={"add_order": add_order})
builtins.get_ipython = lambda: shell

async def perform(cells):
    shown = []
    for cell in cells:
        asyncio.get_running_loop()  # as in a kernel
        done = await shell.run_cell_async(cell, transformed_cell=shell.transform_cell(cell))
        failure = done.error_before_exec or done.error_in_exec
        bundle = {} if done.result is None else shell.display_formatter.format(done.result)[0]
        shown.append({"error": type(failure).__name__ if failure else None, **bundle})
    return shown

shown = asyncio.run(perform(json.loads(sys.argv[1])))
print("\\n" + json.dumps(shown))
"""


def perform(cells: list[str], folder: Path) -> list[dict[str, str | None]]:
    """What each cell shows: its representations by type, and the name of its error. A process of its own: a shell changes `sys` and `__main__`."""
    done = subprocess.run(
        [sys.executable, "-c", KERNEL, json.dumps(cells)],
        check=False,
        cwd=folder,
        env={**os.environ, "IPYTHONDIR": str(folder / "ipython"), "FORCE_COLOR": "1"},  # as ipykernel does
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    shown: list[dict[str, str | None]] = json.loads(done.stdout.splitlines()[-1])
    return shown


@pytest.mark.slow
def test_a_notebook_plans_runs_and_shows_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("IPython", reason="IPython is not installed: the extra test has it")
    monkeypatch.delenv("INGEST_HOME", raising=False)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.executescript(
            "create table orders(id integer primary key, total real, email text, updated_at timestamp);"
            "insert into orders values (1, 1.5, 'a@b.c', '2026-01-01 10:00:00'), (2, 2.5, 'd@e.f', '2026-01-02 10:00:00')"
        )
    (tmp_path / "ingest.yaml").write_text(json.dumps(document()))
    shown = dict(zip(CELLS, perform(CELLS, tmp_path), strict=True))
    assert {cell: each["error"] for cell, each in shown.items() if each["error"]} == {CELLS[-2]: "UnitNotFound"}
    tables = {cell: each["text/html"] or "" for cell, each in shown.items() if "text/html" in each}
    assert list(tables) == CELLS[1:8]
    assert all(table.startswith("<pre") and "\x1b" not in table for table in tables.values())
    assert all(word in tables[CELLS[3]] for word in ("shop:orders", "updated_at", "upsert"))
    assert "2 committed" in tables[CELLS[4]]
    assert "SUCCEEDED" in tables[CELLS[5]]
    assert "'id': 3" in (shown[CELLS[8]]["text/plain"] or "")
