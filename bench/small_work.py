"""Measures small work as whole processes: nothing to do, `status`, 100 unchanged tables, and a 1 % upsert from PostgreSQL
to PostgreSQL.

    python -m bench.small_work --rows 1000000 --rounds 5

Statements are counted in the server's own log.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc

from bench.database import start_orders
from bench.ingest_command import INGEST
from bench.measure import Measured, measured

TABLES = 100
RUN = [INGEST, "run", "shop", "--json"]


def execute(url: str, *statements: str) -> None:
    with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def document(url: str, schema: str, sink: str) -> str:
    return f"""\
home: .ingest-ray
endpoints:
  - {{id: shop, template: jdbc.postgres, config: {{url: "{url}", schemas: [{schema}]}}}}
sinks:
  - {sink}
units:
  - {{endpoint: shop, unit: "*", sink: target, enabled: true, run_mode: INCREMENTAL, policy: {{cursor: updated_at}}}}
"""


def load_once(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / "ingest.yaml").write_text(text)
    for command in (["apply"], ["collect", "shop"], ["run", "shop"]):
        subprocess.run([INGEST, *command], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def print_medians(name: str, measures: list[Measured], more: str = "") -> None:
    wall, cpu = statistics.median(run.wall_s for run in measures), statistics.median(run.cpu_s for run in measures)
    walls = f"{min(run.wall_s for run in measures):.2f} - {max(run.wall_s for run in measures):.2f}"
    print(f"| {name} | {wall:.2f} | {walls} | {cpu:.2f} | {more} |", flush=True)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--folder", type=Path, default=Path("demo-home/small-work"))
    given = options.parse_args()
    folder = given.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    url = start_orders(folder / "pg", given.rows)
    subprocess.run([sys.executable, "-m", "compileall", "-q", "ingest_ray", "strategies"], check=False)
    create_tables(url)
    target = url.replace("/postgres?", "/target?")
    load_once(folder / "one", document(url, "public", f'{{id: target, template: sql, config: {{url: "{target}"}}}}'))
    load_once(folder / "many", document(url, "many", "{id: target, template: lake.delta, config: {uri: ./lake}}"))
    print("| what | wall s | from - to | CPU s | |\n|---|---|---|---|---|")
    for what, command in (("run, nothing to do", RUN), ("status", [INGEST, "status", "shop", "--json"])):
        print_medians(what, [measured(command, folder / "one") for _ in range(given.rounds)])
    changes = [upserted(url, folder / "one", number, given.rows) for number in range(given.rounds)]
    print_medians(f"1 % upsert of {given.rows:,} rows, PostgreSQL to PostgreSQL", changes)
    measure_unchanged_tables(url, folder)
    return 0


def create_tables(url: str) -> None:
    """The database of the target, and many small tables."""
    execute(
        url,
        "CREATE DATABASE target",
        "CREATE SCHEMA many",
        *(
            f"CREATE TABLE many.t{n} AS SELECT i::bigint AS id, now() AS updated_at FROM generate_series(1, 10) i"
            for n in range(TABLES)
        ),
        *(f"ALTER TABLE many.t{n} ADD PRIMARY KEY (id)" for n in range(TABLES)),
    )


def upserted(url: str, folder: Path, number: int, rows: int) -> Measured:
    """Changes one row of a hundred, and runs."""
    execute(
        url,
        f"UPDATE orders SET status = 'round {number}', updated_at = now() WHERE id % 100 = {number}",
        "ANALYZE orders",
    )
    found = measured(RUN, folder)
    counts = json.loads(found.out)["rows"]
    if counts["committed"] < rows // 100:
        raise SystemExit(f"an upsert is missing rows: {counts}")
    return found


def measure_unchanged_tables(url: str, folder: Path) -> None:
    """The server's log counts our statements."""
    execute(
        url,
        "ALTER SYSTEM SET log_min_duration_statement = 0",
        "ALTER SYSTEM SET log_line_prefix = '%a '",
        "SELECT pg_reload_conf()",
    )
    many = [measured(RUN, folder / "many") for _ in range(2)]
    cpu_ms = statistics.median(one.cpu_s for one in many) * 1000 / TABLES
    print_medians(f"{TABLES} unchanged tables", many, f"{cpu_ms:.0f} ms of CPU a table")
    text = (folder / "pg" / "log").read_text(errors="replace")
    done = [line for line in text.splitlines() if line.startswith("ingest_ray ")]
    found = sum("  execute " in line or "  statement: " in line for line in done)
    if not found:
        raise SystemExit("the server's log has no statement of ours")
    print(f"\nstatements at the source: {found / TABLES / len(many):.1f} a table and run")


if __name__ == "__main__":
    sys.exit(main())
