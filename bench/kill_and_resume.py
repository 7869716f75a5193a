"""Kills a load with SIGKILL again and again, the whole process tree at a random moment, and resumes it.

    python -m bench.kill_and_resume --rows 2000000 --kills 10

At the end every value in the lake is compared with the source, and slices that were read more than once are counted.
"""

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import adbc_driver_postgresql.dbapi as adbc
import duckdb
from deltalake import DeltaTable

from bench.database import config, start_orders
from bench.ingest_command import INGEST, kill_tree

COLUMNS = (
    "id, customer_id, ratio::varchar, total::varchar, note, status, placed_on, epoch_us(updated_at), reference, is_paid"
)
MOST_SLICES = 8  # begun before a run is killed: ten kills then fit into a load of sixty slices
WAIT_S = 0.4


@dataclass
class Campaign:
    folder: Path
    random: Random
    reads: Counter[str] = field(default_factory=Counter)
    survived: list[int] = field(default_factory=list)
    wasted_kills: int = 0

    def start(self) -> "subprocess.Popen[bytes]":
        log = (self.folder / "run.log").open("wb")
        command = [INGEST, "run", "shop", "--json", "--log-format", "json", "--log-level", "info"]
        return subprocess.Popen(command, cwd=self.folder, start_new_session=True, stdout=subprocess.PIPE, stderr=log)

    def kill_once(self) -> None:
        """Waits until a few slices of this run were begun, then a random moment, and kills the tree."""
        run = self.start()
        enough = self.random.randint(1, MOST_SLICES)
        while run.poll() is None and len(self.read_now()) < enough:
            time.sleep(0.02)
        time.sleep(self.random.uniform(0.0, WAIT_S))
        self.wasted_kills += run.poll() is not None
        kill_tree(run.pid)
        run.communicate()
        self.note_reads()
        self.survived.append(self.rows_in_lake())

    def finish(self) -> dict[str, object]:
        run = self.start()
        out, _ = run.communicate()
        self.note_reads()
        answer: dict[str, object] = json.loads(out)
        return answer

    def read_now(self) -> list[str]:
        lines = []
        for line in (self.folder / "run.log").read_text().splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if str(entry.get("message", "")).startswith("read "):
                    lines.append(str(entry["message"]))
        return lines

    def note_reads(self) -> None:
        self.reads.update(self.read_now())

    def rows_in_lake(self) -> int:
        path = self.folder / "lake" / "shop" / "public.orders"
        with contextlib.suppress(Exception):
            return int(DeltaTable(str(path)).count())
        return 0


def is_equal(url: str, lake: Path) -> tuple[bool, int, int]:
    """Whether every value is equal (by an order-independent hash), the rows in the lake, and its distinct keys."""
    with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT *, ratio::text AS r, total::text AS t, reference::text AS u FROM orders")
        source = cursor.fetch_arrow_table().drop(["ratio", "total", "reference"])
    source = source.rename_columns({"r": "ratio", "t": "total", "u": "reference"})
    shown = DeltaTable(str(lake)).to_pyarrow_table()
    with duckdb.connect() as compare:
        compare.register("source", source)
        compare.register("shown", shown)
        hashes = [
            compare.execute(f"SELECT count(*), count(DISTINCT id), sum(hash({COLUMNS})) FROM {name}").fetchone()
            for name in ("source", "shown")
        ]
    return hashes[0] == hashes[1], hashes[1][0], hashes[1][1]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=2_000_000)
    options.add_argument("--kills", type=int, default=10)
    options.add_argument("--slice-mib", type=int, default=4)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--folder", type=Path, default=Path("demo-home/kill-and-resume"))
    given = options.parse_args()
    shutil.rmtree(given.folder, ignore_errors=True)
    given.folder.mkdir(parents=True)
    url = start_orders((given.folder / "pg").absolute(), given.rows)
    (given.folder / "ingest.yaml").write_text(config(url, given.slice_mib * 2**20))
    for command in (["apply"], ["collect", "shop"]):
        subprocess.run([INGEST, *command], cwd=given.folder, check=True, stdout=subprocess.DEVNULL)
    campaign = Campaign(given.folder, Random(given.seed))
    for number in range(given.kills):
        campaign.kill_once()
        print(f"kill {number + 1}: {campaign.survived[-1]:,} rows were in the lake", flush=True)
    summary = campaign.finish()
    equal, rows, keys = is_equal(url, given.folder / "lake" / "shop" / "public.orders")
    again = sum(count - 1 for count in campaign.reads.values())
    print(
        json.dumps(
            {
                "rows": given.rows,
                "rows_in_lake": rows,
                "keys_in_lake": keys,
                "every_value_equal": equal,
                "kills": given.kills,
                "kills_after_the_end": campaign.wasted_kills,
                "slices": len(campaign.reads),
                "reads_of_slices_again": again,
                "rows_after_each_kill": campaign.survived,
                "last_run": {name: summary[name] for name in ("state", "rows", "slices", "seconds")},
            },
            indent=2,
        )
    )
    return 0 if equal and rows == keys == given.rows and summary["state"] == "SUCCEEDED" else 1


if __name__ == "__main__":
    sys.exit(main())
