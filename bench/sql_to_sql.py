"""PostgreSQL -> PostgreSQL by key, beside the peers: whole processes, in turn, the order alternating.

    python -m bench.sql_to_sql --rows 1000000 --rounds 3

Each round writes into a new database. The 1 % upsert is in `bench.small_work`.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from bench.database import start_orders
from bench.ingest_command import empty_folder, measure_load
from bench.measure import Measured, cores, measured
from bench.side_by_side import Peer, environment
from bench.small_work import execute

OURS = "ingest-ray run, numbered commits by key"
ADBC = Peer("ADBC ingest", "adbc_ingest.py", ("adbc-driver-postgresql==1.13.0", "pyarrow==26.0.1"))
INGESTR = Peer("ingestr", "ingestr.py", ("ingestr==1.0.68",))


def document(source: str, target: str) -> str:
    return f"""\
home: .ingest-ray
endpoints:
  - {{id: shop, template: jdbc.postgres, config: {{url: "{source}", schemas: [public]}}}}
sinks:
  - {{id: target, template: sql, config: {{url: "{target}"}}}}
units:
  - endpoint: shop
    unit: public.orders
    sink: target
    enabled: true
    run_mode: INCREMENTAL
    policy: {{cursor: updated_at, primary_key: [id], write: upsert}}
"""


def ingestr(python: Path, source: str, target: str, folder: Path) -> Measured:
    options = ["--source-table", "public.orders", "--dest-table", "public.orders", "--primary-key", "id", "--yes"]
    options += ["--incremental-strategy", "merge", "--incremental-key", "updated_at"]
    return measured(
        [str(python.with_name("ingestr")), "ingest", "--source-uri", source, "--dest-uri", target, *options], folder
    )


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder", type=Path, default=Path("demo-home/sql-to-sql"))
    given = options.parse_args()
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    pythons = {peer: environment(peer, folder / "environments") for peer in (ADBC, INGESTR)}
    shutil.rmtree(folder / "pg", ignore_errors=True)
    source = start_orders(folder / "pg", given.rows)
    subprocess.run([sys.executable, "-m", "compileall", "-q", "ingest_ray", "strategies"], check=False)
    runs: dict[str, list[Measured]] = {}
    for number in range(given.rounds):
        turns = [OURS, *(peer.name for peer, python in pythons.items() if python)]
        for name in turns if number % 2 == 0 else reversed(turns):
            execute(source, "DROP DATABASE IF EXISTS target WITH (FORCE)", "CREATE DATABASE target")
            target = source.replace("/postgres?", "/target?")
            out = empty_folder(folder / "out")
            if name == OURS:
                done = measure_load(out, document(source, target), given.rows)
            elif name == ADBC.name:
                script = str(Path("bench/peers", ADBC.script).absolute())
                done = measured([str(pythons[ADBC]), script, source, target], out)
            else:
                python = pythons[INGESTR]
                assert python is not None
                done = ingestr(python, source, target, out)
            runs.setdefault(name, []).append(done)
            print(f"round {number + 1}: {name}: {done.wall_s:.2f} s, {done.cpu_s:.2f} s of CPU", file=sys.stderr)
    print(f"\n{given.rows:,} rows of orders, {cores()} cores, medians of {given.rounds} rounds, whole processes\n")
    print("| what | wall s | from - to | CPU s (client) | all processes MiB |\n|---|---|---|---|---|")
    for name, measures in runs.items():
        wall, cpu = statistics.median(run.wall_s for run in measures), statistics.median(run.cpu_s for run in measures)
        spread = f"{min(run.wall_s for run in measures):.2f} - {max(run.wall_s for run in measures):.2f}"
        print(f"| {name} | {wall:.2f} | {spread} | {cpu:.2f} | {max(run.together_mib for run in measures):.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
