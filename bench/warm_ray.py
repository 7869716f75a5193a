"""What Ray's start costs, and what a run costs beyond it: on a Ray of its own, and on one that runs already.

    python -m bench.warm_ray --rows 6000000 --rounds 3

`bare`: a process that starts a local Ray and stops it, and does nothing else. `warm`: a cluster of this machine that was started
before, has its worker processes, and is joined by address.
"""

import argparse
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc

from bench.database import start_postgres
from bench.ingest_command import INGEST
from bench.lineitem import statements
from bench.measure import Measured, measured
from bench.small_work import print_medians

INIT = "ray.init(address='local', num_cpus=2, include_dashboard=False, object_store_memory=268435456, logging_level='ERROR')"
BARE = f"import ray; {INIT}; ray.shutdown()"
# Its address, then it waits until its input ends.
HEAD = f"import ray, sys; print({INIT}.address_info['gcs_address'], flush=True); sys.stdin.read(); ray.shutdown()"


@contextmanager
def head() -> Iterator[str]:
    """A Ray on this machine and its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", HEAD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield next(line.strip() for line in process.stdout if line.strip())
    finally:
        process.stdin.close()
        process.wait(60)


def document(url: str, schema: str, address: str) -> str:
    return f"""\
home: .ingest-ray
ray: {{inline_below: 0, address: "{address}", object_store_bytes: 268435456, num_cpus: 2}}
endpoints:
  - {{id: shop, template: jdbc.postgres, config: {{url: "{url}", schemas: [{schema}]}}}}
sinks:
  - {{id: lake, template: lake.delta, config: {{uri: ./lake}}}}
units:
  - {{endpoint: shop, unit: "*", sink: lake, enabled: true, run_mode: FULL, policy: {{target_slice_bytes: 33554432}}}}
"""


def landed(folder: Path, text: str) -> Measured:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "ingest.yaml").write_text(text)
    for command in (["apply"], ["collect", "shop"]):
        subprocess.run([INGEST, *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    done = measured([INGEST, "run", "shop", "--json"], folder)
    unit = json.loads(done.out)["units"][0]
    if unit["executor"] != "ray":
        raise SystemExit(f"this was no run on Ray: {unit['executor']}")
    print(f"  {unit['phases']}, {unit['rows']['committed']} rows", file=sys.stderr)
    return done


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=6_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder", type=Path, default=Path("demo-home/warm-ray"))
    given = options.parse_args()
    folder = given.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    url = start_postgres(folder / "pg")
    with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements(given.rows):
            cursor.execute(statement)
        cursor.execute("CREATE SCHEMA small")
        cursor.execute("CREATE TABLE small.numbers AS SELECT i AS id FROM generate_series(1, 1000) AS i")
    subprocess.run([sys.executable, "-m", "compileall", "-q", "ingest_ray", "strategies"], check=False)
    found: dict[str, list[Measured]] = {}

    def take(name: str, done: Measured) -> None:
        found.setdefault(name, []).append(done)

    for _ in range(given.rounds):
        take("Ray's own start and stop", measured([sys.executable, "-c", BARE], folder))
        take("1,000 rows on a Ray of its own", landed(folder / "cold", document(url, "small", "local")))
    with head() as address:
        landed(folder / "first", document(url, "small", address))  # the worker processes start
        for _ in range(given.rounds):
            take("1,000 rows on a warm Ray", landed(folder / "warm", document(url, "small", address)))
        for _ in range(given.rounds):
            take(
                f"{given.rows:,} rows of lineitem on a warm Ray",
                landed(folder / "large", document(url, "public", address)),
            )
    print("| what | wall s | from - to | CPU s (own processes) | |\n|---|---|---|---|---|")
    for name, runs in found.items():
        print_medians(name, runs, f"largest process {max(one.largest_mib for one in runs):.0f} MiB")
    own, cold = (
        statistics.median(one.wall_s for one in found[name])
        for name in ("Ray's own start and stop", "1,000 rows on a Ray of its own")
    )
    print(f"\nbeyond Ray's own start and stop: {cold - own:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
