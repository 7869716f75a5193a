"""Measures the limits: wide rows, large cells, many rows, many units. One number a line; see docs/limits.md.

python -m bench.limits columns cell rows units --rows 5000000 --cell-mib 100 --units 5000
"""

import argparse
import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from bench.ingest_command import INGEST


def config(policy: str = "{}") -> str:
    return f"""\
endpoints:
  - {{id: a, template: jdbc.sqlite, config: {{path: ./source.db}}}}
sinks:
  - {{id: lake, template: lake.delta, config: {{uri: ./lake}}}}
units:
  - {{endpoint: a, unit: "*", sink: lake, enabled: true, run_mode: FULL, policy: {policy}}}
"""


class LimitCase:
    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        (self.folder / "ingest.yaml").write_text(config())
        self.peak_bytes = 0
        self.database = sqlite3.connect(self.folder / "source.db")

    def call(self, *arguments: str) -> dict[str, Any]:
        pipe = subprocess.PIPE
        done = subprocess.Popen([INGEST, *arguments, "--json"], cwd=self.folder, stdout=pipe, stderr=pipe, text=True)
        threading.Thread(target=self._sample_memory, args=(done.pid,), daemon=True).start()
        out, err = done.communicate()
        try:
            answer: dict[str, Any] = json.loads(out)
        except ValueError:
            raise SystemExit(f"{arguments}: exit {done.returncode}: {out[-500:]} {err[-1500:]}") from None
        return answer

    def _sample_memory(self, pid: int) -> None:
        """Records the peak of private memory (not shared pages of the object store) of the largest process of a run."""
        with contextlib.suppress(psutil.Error):
            run = psutil.Process(pid)
            while run.is_running():
                for process in [run, *run.children(recursive=True)]:
                    with contextlib.suppress(psutil.Error):
                        memory = process.memory_info()
                        self.peak_bytes = max(self.peak_bytes, memory.rss - memory.shared)
                time.sleep(0.2)

    def ingest(self) -> dict[str, Any]:
        self.database.commit()
        times = {}
        for arguments in (("apply",), ("collect", "a"), ("run", "a")):
            started = time.monotonic()
            answer = self.call(*arguments)
            times[arguments[0]] = round(time.monotonic() - started, 1)
        units = answer.get("units", [answer])
        states = {str(unit["state"]) for unit in units}
        errors = [unit["error"] for unit in units if unit.get("error")]
        return {
            "states": sorted(states),
            "units": len(units),
            "rows": sum(unit["rows"]["committed"] for unit in units),
            "slices": sum(unit["slices"]["committed"] for unit in units),
            "seconds": times,
            "peak_mib_of_a_process": self.peak_bytes >> 20,
            "first_error": errors[0]["message"][:300] if errors else None,
        }


def columns(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    case = LimitCase(folder, "columns")
    names = ", ".join(f"c{number} INTEGER" for number in range(given.columns - 1))
    case.database.execute(f"CREATE TABLE wide (id INTEGER PRIMARY KEY, {names})")
    values = ", ".join(["?"] * given.columns)
    rows = ([row, *range(given.columns - 1)] for row in range(2_000))
    case.database.executemany(f"INSERT INTO wide VALUES ({values})", rows)
    return {"columns": given.columns, **case.ingest()}


def cell(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    case = LimitCase(folder, "cell")
    case.database.execute("CREATE TABLE large (id INTEGER PRIMARY KEY, body TEXT)")
    for row in range(3):
        case.database.execute("INSERT INTO large VALUES (?, ?)", (row, chr(97 + row) * (given.cell_mib << 20)))
    return {"cell_mib": given.cell_mib, **case.ingest()}


def rows(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    case = LimitCase(folder, "rows")
    case.database.execute("CREATE TABLE narrow (id INTEGER PRIMARY KEY, a INTEGER, b REAL)")
    case.database.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO narrow SELECT i, i * 7, i / 3.0 FROM n",
        (given.rows,),
    )
    return {"source_rows": given.rows, **case.ingest()}


def units(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    case = LimitCase(folder, "units")
    for number in range(given.units):
        case.database.execute(f"CREATE TABLE t{number} (id INTEGER PRIMARY KEY, a INTEGER)")
        case.database.execute(f"INSERT INTO t{number} VALUES (1, 2)")
    return {"tables": given.units, **case.ingest()}


CASES: dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    "columns": columns,
    "cell": cell,
    "rows": rows,
    "units": units,
}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("cases", nargs="*", default=[], help=", ".join(CASES))
    options.add_argument("--columns", type=int, default=1_000)
    options.add_argument("--cell-mib", type=int, default=100)
    options.add_argument("--rows", type=int, default=50_000_000)
    options.add_argument("--units", type=int, default=5_000)
    options.add_argument("--folder", type=Path, default=Path("demo-home/limits"))
    given = options.parse_args()
    for name in given.cases or CASES:
        print(json.dumps({"case": name, **CASES[name](given.folder, given)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
