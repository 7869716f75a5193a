"""PostgreSQL -> committed Delta table, beside a plain ADBC -> Parquet script, in turn, in one run.

    python -m bench.postgres_to_delta --rows 2000000 --rounds 3

Only the ratio is meaningful on a machine with other load.
"""

import argparse
import json
import shutil
import statistics
import sys
from pathlib import Path

from bench.database import config, start_orders
from bench.ingest_command import INGEST, prepare
from bench.kill_and_resume import is_equal
from bench.measure import Measured, cores, measured


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=2_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--slice-mib", type=int, default=32)
    options.add_argument("--folder", type=Path, default=Path("demo-home/bench"))
    given = options.parse_args()
    shutil.rmtree(given.folder, ignore_errors=True)
    given.folder.mkdir(parents=True)
    url = start_orders((given.folder / "pg").absolute(), given.rows)
    ours, plain = [], []
    for number in range(given.rounds):
        folder = given.folder / f"round-{number}"
        folder.mkdir()
        plain_script = [sys.executable, "-m", "bench.adbc_to_parquet", url, str(folder.absolute() / "plain.parquet")]
        plain.append(measured(plain_script, Path.cwd()))
        ours.append(load(folder, url, given.slice_mib))
        print(f"round {number + 1}: {ours[-1].wall_s:.1f} s against {plain[-1].wall_s:.1f} s", file=sys.stderr)
        equal, rows, _ = is_equal(url, folder / "lake" / "shop" / "public.orders")
        if not equal or rows != given.rows:
            raise SystemExit(f"the lake differs from the source: {rows} rows")
    nothing = measured([INGEST, "run", "shop", "--json"], given.folder / f"round-{given.rounds - 1}")
    report(given.rows, ours, plain, nothing)
    return 0


def load(folder: Path, url: str, slice_mib: int) -> Measured:
    done = measured([INGEST, "run", "shop", "--json"], prepare(folder, config(url, slice_mib * 2**20)))
    answer = json.loads(done.out)
    phases = answer["units"][0]["phases"]
    print(f"  {answer['seconds']} s inside, phases {phases}", file=sys.stderr)
    return done


def report(rows: int, ours: list[Measured], plain: list[Measured], nothing: Measured) -> None:
    ratio = statistics.median(o.wall_s / p.wall_s for o, p in zip(ours, plain, strict=True))
    print(f"\n{rows:,} rows, {cores()} cores, medians of {len(ours)} rounds; whole processes, Ray's start included\n")
    print("| what | wall s | rows/s | CPU s | largest process MiB | all processes MiB |")
    print("|---|---|---|---|---|---|")
    for name, runs in (("ingest-ray run, PostgreSQL to Delta", ours), ("plain script, ADBC to Parquet", plain)):
        wall_s = statistics.median(run.wall_s for run in runs)
        cpu_s = statistics.median(run.cpu_s for run in runs)
        largest = max(run.largest_mib for run in runs)
        together = max(run.together_mib for run in runs)
        print(f"| {name} | {wall_s:.1f} | {rows / wall_s:,.0f} | {cpu_s:.1f} | {largest:.0f} | {together:.0f} |")
    print(
        f"| ingest-ray run, nothing changed | {nothing.wall_s:.1f} | | {nothing.cpu_s:.1f} | {nothing.largest_mib:.0f} | |"
    )
    print(
        f"\nratio of wall times, pair by pair, median: {ratio:.2f}; every value of every round was compared with the source."
    )


if __name__ == "__main__":
    sys.exit(main())
