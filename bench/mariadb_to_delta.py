"""MariaDB -> Delta, beside ConnectorX to Parquet: whole processes, in turn, the order alternating.

    python -m bench.mariadb_to_delta --rows 2000000 --rounds 5

ConnectorX makes every `decimal(15, 2)` a `decimal(38, 10)`: exact here, and refused or rounded where there are more places. Its file is no
committed table. Only ratios mean something on a machine that does other things, too: that of each round is printed, and their median.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from bench.ingest_command import empty_folder, measure_load
from bench.lineitem_maria import statements
from bench.measure import Measured, cores, measured
from bench.side_by_side import Peer, environment
from ingest_ray.testing.servers.mariadb import MariaServer, running_server

OURS = "ingest-ray run, to a committed Delta table"
PEER = Peer("ConnectorX to Parquet", "connectorx_maria_parquet.py", ("connectorx==0.4.6", "pyarrow==26.0.1"))
PARTITIONS = (2, 4)


def document(url: str) -> str:
    return f"""\
home: .ingest-ray
endpoints:
  - {{id: shop, template: jdbc.mysql, config: {{url: "{url}"}}}}
sinks:
  - {{id: lake, template: lake.delta, config: {{uri: ./lake}}}}
units:
  - {{endpoint: shop, unit: shop.lineitem, sink: lake, enabled: true, run_mode: FULL}}
"""


def start_shop(server: MariaServer, rows: int) -> str:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE shop CHARACTER SET utf8mb4")
    with server.connect("shop") as connection, connection.cursor() as cursor:
        for statement in statements(rows):
            cursor.execute(statement)
    return f"mysql://root@127.0.0.1:{server.port}/shop"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=2_000_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--folder", type=Path, default=Path("demo-home/mariadb-to-delta"))
    given = options.parse_args()
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    python = environment(PEER, folder / "environments")
    if python is None:
        return 1
    script = str(Path("bench/peers", PEER.script).absolute())
    subprocess.run([sys.executable, "-m", "compileall", "-q", "ingest_ray", "strategies"], check=False)
    peers = {f"{PEER.name}, {count} partitions": str(count) for count in PARTITIONS}
    runs: dict[str, list[Measured]] = {}
    with running_server("--innodb-buffer-pool-size=1G") as server:
        url = start_shop(server, given.rows)
        for number in range(given.rounds):
            turns = [OURS, *peers]
            for name in turns if number % 2 == 0 else reversed(turns):
                out = empty_folder(folder / "out")
                if name == OURS:
                    done = measure_load(out, document(url), given.rows)
                else:
                    done = measured([str(python), script, url, str(out), peers[name]], out)
                runs.setdefault(name, []).append(done)
                print(f"round {number + 1}: {name}: {done.wall_s:.2f} s, {done.cpu_s:.2f} s of CPU", file=sys.stderr)
    report(given.rows, runs)
    return 0


def report(rows: int, runs: dict[str, list[Measured]]) -> None:
    base = runs[OURS]
    print(f"\n{rows:,} rows of lineitem, {cores()} cores, medians of {len(base)} rounds, whole processes\n")
    print("| what | wall s | from - to | ours / it, by round | CPU s (client) | all processes MiB |")
    print("|---|---|---|---|---|---|")
    for name, measures in runs.items():
        walls = [run.wall_s for run in measures]
        wall, cpu = statistics.median(walls), statistics.median(run.cpu_s for run in measures)
        ratio = statistics.median(our.wall_s / its.wall_s for our, its in zip(base, measures, strict=True))
        memory = max(run.together_mib for run in measures)
        print(f"| {name} | {wall:.2f} | {min(walls):.2f} - {max(walls):.2f} | {ratio:.2f} | {cpu:.2f} | {memory:.0f} |")


if __name__ == "__main__":
    sys.exit(main())
