"""Runs the main job in about a minute: collect, plan, load, survive a `kill -9`, load only the changed rows.

Then loads Jira and Confluence into one common data model. All files are in `demo-home/` afterwards. It runs the same commands as a user.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from deltalake import DeltaTable
from rich.console import Console
from rich.table import Table

from demo import shop, sites

HOME = Path("demo-home")
UNITS = ("customers", "orders", "order_lines")
CONFIG = """\
home: .ingest-ray
staging: {provider: auto}
ray: {address: local, inline_below: 8388608}     # small here, so that the demo shows a run on Ray
endpoints:
  - {id: shop, template: jdbc.sqlite, config: {path: shop.db}}
sinks:
  - {id: lake, template: lake.delta, config: {uri: ./lake}}
units:
  - endpoint: shop
    unit: "*"
    sink: lake
    enabled: true
    run_mode: INCREMENTAL
    policy: {cursor: updated_at, write: upsert, target_slice_bytes: 262144}
"""
console = Console()


def main() -> int:
    """Returns 1 where a step failed, or where lake and shop differ."""
    try:
        return show()
    except subprocess.CalledProcessError as failed:
        console.print(
            f"[bold red]a step failed: {' '.join(map(str, failed.cmd))} ended with exit code {failed.returncode}"
        )
        return 1


def show() -> int:
    started = time.monotonic()
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    title("A shop in SQLite")
    console.print(f"{shop.make(HOME / 'shop.db'):,} rows in {', '.join(UNITS)}")
    (HOME / "ingest.yaml").write_text(CONFIG)
    title("Register it, and look at what it has")
    for arguments in (["apply"], ["collect", "shop"], ["units", "shop"], ["plan", "shop", "order_lines"]):
        ingest(*arguments)
    title("Load two tables")
    ingest("run", "shop", "customers", "orders")
    title("Load the third on Ray, and pull the plug half way")
    survived, is_killed = kill_half_way()
    how = "killed with SIGKILL" if is_killed else "the run ended before it could be killed,"
    console.print(f"{how} after {survived:,} of {shop.LINES:,} rows were committed")
    title("Run it again: what is in the lake is not read again")
    resumed = ingest_json("run", "shop", "order_lines")
    title("A day later: a few rows changed")
    changed = shop.change(HOME / "shop.db")
    console.print(f"{changed} rows changed or new at the source")
    ingest("run", "shop")
    ingest("status", "shop")
    is_equal = report(survived, resumed, is_killed)
    title("Jira and Confluence, simulated, in one common data model")
    is_equal &= sites.into_one_model(HOME / "sites", command(), console)
    console.print(f"\n{time.monotonic() - started:.0f} seconds in all. Look at the lake yourself:\n")
    console.print(
        f"  .venv/bin/python -c \"import deltalake; print(deltalake.DeltaTable('{HOME}/lake/shop/orders')", end=""
    )
    console.print('.to_pyarrow_table().slice(0, 5))"\n', highlight=False)
    return 0 if is_equal else 1


def title(text: str) -> None:
    console.rule(f"[bold]{text}", align="left")


def ingest(*arguments: str) -> None:
    console.print(f"[bold cyan]$ ingest-ray {' '.join(arguments)}")
    subprocess.run([command(), *arguments], cwd=HOME, check=True)


def ingest_json(*arguments: str) -> dict[str, object]:
    console.print(f"[bold cyan]$ ingest-ray {' '.join(arguments)} --json")
    done = subprocess.run([command(), *arguments, "--json"], cwd=HOME, check=True, stdout=subprocess.PIPE)
    answer: dict[str, object] = json.loads(done.stdout)
    wanted = ("run_id", "state", "rows", "slices", "watermarks", "seconds")
    console.print_json(data={name: answer[name] for name in wanted})
    return answer


def command() -> str:
    return str(Path(sys.executable).absolute().with_name("ingest-ray"))


def kill_half_way() -> tuple[int, bool]:
    """Kills the whole process tree of a run, like a power cut, once five commits are in the lake.

    Returns the rows that are in the lake then, and whether it was killed. Raises `CalledProcessError` for a run that failed by itself.
    """
    console.print("[bold cyan]$ ingest-ray run shop order_lines")
    run = subprocess.Popen([command(), "run", "shop", "order_lines"], cwd=HOME, start_new_session=True)
    log = HOME / "lake" / "shop" / "order_lines" / "_delta_log"
    while run.poll() is None and len(list(log.glob("*.json"))) < 6:  # the first makes the table
        time.sleep(0.01)
    with suppress(ProcessLookupError):  # the run ended before
        os.killpg(run.pid, signal.SIGKILL)
    code = run.wait()
    if code not in (0, -signal.SIGKILL):
        raise subprocess.CalledProcessError(code, run.args)
    return rows_in_lake("order_lines"), code == -signal.SIGKILL


def rows_in_lake(unit: str) -> int:
    path = HOME / "lake" / "shop" / unit
    return int(DeltaTable(str(path)).to_pyarrow_table(columns=["id"]).num_rows) if path.exists() else 0


def report(survived: int, resumed: dict[str, object], is_killed: bool) -> bool:
    """Compares lake and shop, table by table; returns whether they are equal."""
    title("What happened")
    table = Table("table", "rows in shop", "rows in lake", "keys in lake", "sum of keys", "equal")
    is_equal = True
    with sqlite3.connect(HOME / "shop.db") as source:
        for unit in UNITS:
            count, total = source.execute(f"SELECT count(*), sum(id) FROM {unit}").fetchone()
            keys = DeltaTable(str(HOME / "lake" / "shop" / unit)).to_pyarrow_table(columns=["id"])["id"].to_pylist()
            same = len(keys) == len(set(keys)) == count and sum(keys) == total
            is_equal &= same
            table.add_row(
                unit, f"{count:,}", f"{len(keys):,}", f"{len(set(keys)):,}", str(sum(keys)), "yes" if same else "NO"
            )
    source.close()
    console.print(table)
    rows = resumed["rows"]
    assert isinstance(rows, dict)
    console.print(
        f"order_lines: {survived:,} rows were in the lake when the run {'was killed' if is_killed else 'ended'}; the next run read {rows['read']:,}, "
        f"which is {'exactly' if survived + rows['read'] == shop.LINES else 'NOT'} the rest."
    )
    return is_equal and survived + rows["read"] == shop.LINES


if __name__ == "__main__":
    sys.exit(main())
