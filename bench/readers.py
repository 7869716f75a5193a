"""Speed by number of readers in one process: lineitem from PostgreSQL to Delta with 1, 2 and 4 threads, in turn.

python -m bench.readers --rows 2000000 --rounds 3
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

from bench.ingest_command import empty_folder, measure_load
from bench.lineitem import serve_lineitem
from bench.measure import Measured, cores
from bench.side_by_side import document

READERS = (1, 2, 4)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=2_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder", type=Path, default=Path("demo-home/readers"))
    given = options.parse_args()
    folder = empty_folder(given.folder.absolute())
    url = serve_lineitem(folder / "pg", given.rows)
    runs: dict[int, list[tuple[Measured, float]]] = {}
    for _ in range(given.rounds):
        for readers in READERS:
            text = document(url, f"{{inline_below: {2**40}, inline_threads: {readers}}}")
            done = measure_load(empty_folder(folder / "out"), text, given.rows)
            runs.setdefault(readers, []).append((done, json.loads(done.out)["units"][0]["seconds"]))
    print(f"{given.rows:,} rows, {cores()} cores, medians of {given.rounds} rounds\n")
    print("| readers | run s | rows/s | whole process s | CPU s (client) | MiB |\n|---|---|---|---|---|---|")
    for readers, measures in runs.items():
        run_s = statistics.median(seconds for _, seconds in measures)
        wall = statistics.median(done.wall_s for done, _ in measures)
        cpu, memory = (
            statistics.median(done.cpu_s for done, _ in measures),
            max(done.together_mib for done, _ in measures),
        )
        print(f"| {readers} | {run_s:.2f} | {given.rows / run_s:,.0f} | {wall:.2f} | {cpu:.2f} | {memory:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
