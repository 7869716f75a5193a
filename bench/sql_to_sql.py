"""PostgreSQL -> PostgreSQL by key, beside the peers: whole processes, in turn, the order alternating.

    python -m bench.sql_to_sql --rows 1000000 --rounds 3

Each round writes into a new database. The 1 % upsert is in `bench.small_work`.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from bench.database import orders
from bench.kill_and_resume import INGEST
from bench.measure import Measured, cores, measured
from bench.side_by_side import Peer, environment
from bench.small_work import run

OURS = "ingest-ray run, numbered commits by key"
ADBC = Peer("ADBC ingest", "adbc_ingest.py", ("adbc-driver-postgresql==1.13.0", "pyarrow==26.0.1"))
INGESTR = Peer("ingestr", "ingestr.py", ("ingestr==1.0.68",))


def document(source: str, target: str) -> str:
    return f"""\
home: .ingest-ray
endpoints:
  - {{id: shop, template: jdbc.postgres, config: {{url: "{source}", schemas: [public]}}}}
sinks:
  - {{id: there, template: sql, config: {{url: "{target}"}}}}
units:
  - endpoint: shop
    unit: public.orders
    sink: there
    enabled: true
    run_mode: INCREMENTAL
    policy: {{cursor: updated_at, primary_key: [id], write: upsert}}
"""


def ours(folder: Path, source: str, target: str, rows: int) -> Measured:
    (folder / "ingest.yaml").write_text(document(source, target))
    for command in (["apply"], ["collect", "shop"]):
        subprocess.run([INGEST, *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    done = measured([INGEST, "run", "shop", "--json"], folder)
    unit = json.loads(done.out)["units"][0]
    if unit["rows"]["committed"] != rows:
        raise SystemExit(f"rows are missing: {unit['rows']}")
    print(f"  {unit['executor']}: {unit['phases']}", file=sys.stderr)
    return done


def ingestr(python: Path, source: str, target: str, folder: Path) -> Measured:
    words = ["--source-table", "public.orders", "--dest-table", "public.orders", "--primary-key", "id", "--yes"]
    words += ["--incremental-strategy", "merge", "--incremental-key", "updated_at"]
    return measured(
        [str(python.with_name("ingestr")), "ingest", "--source-uri", source, "--dest-uri", target, *words], folder
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
    source = orders(folder / "pg", given.rows)
    subprocess.run([sys.executable, "-m", "compileall", "-q", "ingest_ray", "strategies"], check=False)
    runs: dict[str, list[Measured]] = {}
    for number in range(given.rounds):
        turns = [OURS, *(peer.name for peer, python in pythons.items() if python)]
        for name in turns if number % 2 == 0 else reversed(turns):
            run(source, "DROP DATABASE IF EXISTS target WITH (FORCE)", "CREATE DATABASE target")
            target = source.replace("/postgres?", "/target?")
            out = folder / "out"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            if name == OURS:
                done = ours(out, source, target, given.rows)
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
    for name, found in runs.items():
        wall, cpu = statistics.median(one.wall_s for one in found), statistics.median(one.cpu_s for one in found)
        spread = f"{min(one.wall_s for one in found):.2f} - {max(one.wall_s for one in found):.2f}"
        print(f"| {name} | {wall:.2f} | {spread} | {cpu:.2f} | {max(one.together_mib for one in found):.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
