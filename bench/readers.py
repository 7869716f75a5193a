"""Speed by number of readers in one process: lineitem from PostgreSQL to Delta with 1, 2 and 4 threads, in turn.

python -m bench.readers --rows 2000000 --rounds 3
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc

from bench.database import serving
from bench.kill_and_resume import INGEST
from bench.lineitem import statements
from bench.measure import Measured, cores, measured
from bench.side_by_side import document

READERS = (1, 2, 4)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=2_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder", type=Path, default=Path("demo-home/readers"))
    given = options.parse_args()
    folder = given.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    url = serving(folder / "pg")
    with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements(given.rows):
            cursor.execute(statement)
    runs: dict[int, list[tuple[Measured, float]]] = {}
    for _ in range(given.rounds):
        for readers in READERS:
            place = folder / "out"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            (place / "ingest.yaml").write_text(document(url, f"{{inline_below: {2**40}, inline_threads: {readers}}}"))
            for command in (["apply"], ["collect", "shop"]):
                subprocess.run([INGEST, *command], cwd=place, check=True, stdout=subprocess.DEVNULL)
            done = measured([INGEST, "run", "shop", "--json"], place)
            runs.setdefault(readers, []).append((done, json.loads(done.out)["units"][0]["seconds"]))
    print(f"{given.rows:,} rows, {cores()} cores, medians of {given.rounds} rounds\n")
    print("| readers | run s | rows/s | whole process s | CPU s (client) | MiB |\n|---|---|---|---|---|---|")
    for readers, found in runs.items():
        inside = statistics.median(seconds for _, seconds in found)
        wall = statistics.median(done.wall_s for done, _ in found)
        cpu, memory = statistics.median(done.cpu_s for done, _ in found), max(done.together_mib for done, _ in found)
        print(f"| {readers} | {inside:.2f} | {given.rows / inside:,.0f} | {wall:.2f} | {cpu:.2f} | {memory:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
