"""What tiny runs of the service cost: runs a minute, and seconds of CPU for each, of the launcher's process and all of its children.

    python -m bench.small_runs --runs 60            # warm processes
    python -m bench.small_runs --runs 60 --cold     # an interpreter for each run, as before

Each run is one of a unit with 20 rows (a SQLite file into a Delta lake), of which nothing is new after the first: what most scheduled runs
of a service do. Both ways in turn, through the launcher that the service uses, with its catalog in SQLite.
"""

import argparse
import json
import os
import resource
import sqlite3
import tempfile
import time
from pathlib import Path

import yaml

from ingest_ray.config import load_config
from ingest_ray.sdk.types import RunState
from ingest_ray.service.endpoints.apply import apply
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.child_process import ChildProcessLauncher
from ingest_ray.service.runs.admission import RunRequest

ROWS = 20


def make_installation(folder: Path, units: int) -> Installation:
    with sqlite3.connect(folder / "shop.db") as database:
        for number in range(units):
            database.execute(f"CREATE TABLE t{number} (id INTEGER PRIMARY KEY, note TEXT, at TEXT)")
            rows = [(n, f"note {n}", f"2026-01-01T00:00:{n:02}") for n in range(ROWS)]
            database.executemany(f"INSERT INTO t{number} VALUES (?, ?, ?)", rows)
    database.close()
    document = {
        "endpoints": [{"id": "shop", "template": "jdbc.sqlite", "config": {"url": f"sqlite:///{folder}/shop.db"}}],
        "sinks": [{"id": "lake", "template": "lake.delta", "config": {"uri": "./lake"}}],
        "units": [
            {
                "endpoint": "shop",
                "unit": "*",
                "sink": "lake",
                "enabled": True,
                "run_mode": "INCREMENTAL",
                "policy": {"cursor": "at", "write": "upsert"},
            }
        ],
    }
    file = folder / "ingest.yaml"
    file.write_text(yaml.safe_dump(document))
    config = load_config(file)
    apply(config)
    installation = Installation(config.settings)
    collect(installation, "shop")
    return installation


def cpu_s() -> float:
    """Of this process and of all children that were waited for: warm processes count when they end."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def tree_cpu_s(pid: int) -> float:
    """Of a live process and of the children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[n]) for n in (11, 12, 13, 14)) / os.sysconf("SC_CLK_TCK")


def measure(installation: Installation, units: list[str], runs: int, *, is_cold: bool) -> dict[str, float]:
    launcher = ChildProcessLauncher(is_warm=not is_cold)
    first = launcher.start(installation, RunRequest(endpoint_id="shop", unit_id=units[0]))
    launcher.join(120)  # starts the warm process, too
    assert launcher.state(installation, first) is RunState.SUCCEEDED
    pid = launcher.warm_pid
    before, began = cpu_s() + (tree_cpu_s(pid) if pid else 0), time.monotonic()
    ids: list[str] = []
    while len(ids) < runs:
        for unit in units[: runs - len(ids)]:
            ids.append(launcher.start(installation, RunRequest(endpoint_id="shop", unit_id=unit)))
        launcher.join(600)
    seconds = time.monotonic() - began
    used = cpu_s() + (tree_cpu_s(pid) if pid else 0) - before
    states = [launcher.state(installation, run_id) for run_id in ids]
    assert states.count(RunState.SUCCEEDED) == runs, states
    return {"runs_a_minute": round(60 * runs / seconds, 1), "cpu_s_a_run": round(used / runs, 3)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--units", type=int, default=20)
    parser.add_argument("--cold", action="store_true", help="only without warm processes")
    parser.add_argument("--warm", action="store_true", help="only with them")
    options = parser.parse_args()
    ways = [way for way, left_out in (("cold", options.warm), ("warm", options.cold)) if not left_out]
    with tempfile.TemporaryDirectory() as folder:
        installation = make_installation(Path(folder), options.units)
        units = [f"t{number}" for number in range(options.units)]
        for way in ways * 2:  # in turn
            found = measure(installation, units, options.runs, is_cold=way == "cold")
            print(json.dumps({"way": way, **found}), flush=True)


if __name__ == "__main__":
    main()
