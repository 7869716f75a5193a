"""Collects an endpoint of many tables with the command, for the first time and again: PostgreSQL and MariaDB.

    python -m bench.collect --tables 10000

Every table has eight columns, a primary key and another index; a rule makes each a unit.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from bench.database import start_postgres
from bench.ingest_command import INGEST, empty_folder
from bench.measure import measured
from ingest_ray.testing.servers.mariadb import running_server

COLUMNS = (
    "id bigint PRIMARY KEY, name varchar(80) NOT NULL, total decimal(12, 2), is_paid boolean, placed date,"
    " note text, country char(2), updated_at timestamp NOT NULL"
)
TABLES_AT_ONCE = 500


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tables", type=int, default=10_000)
    options.add_argument("--folder", type=Path, default=Path("demo-home/collect"))
    options.add_argument("--only", choices=["postgres", "mariadb"])
    given = options.parse_args()
    folder = empty_folder(given.folder.absolute())
    print("| source | collect | wall s | CPU s (client) |\n|---|---|---|---|")
    if given.only != "mariadb":
        url = start_postgres(folder / "pg")
        make_postgres_tables(url, given.tables)
        report("PostgreSQL", empty_folder(folder / "from-pg"), "jdbc.postgres", url)
    if given.only != "postgres":
        with running_server("--innodb-flush-method=nosync", "--skip-log-bin") as server:
            make_mariadb_tables(server, given.tables)
            url = f"mysql://root@localhost/shop?unix_socket={server.socket}"
            report("MariaDB", empty_folder(folder / "from-maria"), "jdbc.mysql", url)
    return 0


def make_postgres_tables(url: str, tables: int) -> None:
    import adbc_driver_postgresql.dbapi as adbc

    with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        for first in range(0, tables, TABLES_AT_ONCE):  # every table is a lock of its transaction
            made = "; ".join(
                f"CREATE TABLE t{number:05} ({COLUMNS}); CREATE INDEX ON t{number:05} (updated_at)"
                for number in range(first, min(first + TABLES_AT_ONCE, tables))
            )
            cursor.adbc_statement.set_sql_query(f"BEGIN; {made}; COMMIT")
            cursor.adbc_statement.execute_update()


def make_mariadb_tables(server: Any, tables: int) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE shop")
        cursor.execute("USE shop")
        for number in range(tables):
            cursor.execute(f"CREATE TABLE t{number:05} ({COLUMNS}, KEY (updated_at))")


def report(name: str, home: Path, template: str, url: str) -> None:
    (home / "ingest.yaml").write_text(
        f"""home: .ingest-ray
endpoints:
  - {{id: shop, template: {template}, config: {{url: "{url}"}}}}
sinks:
  - {{id: lake, template: lake.delta, config: {{uri: ./lake}}}}
units:
  - {{endpoint: shop, unit: "*", sink: lake, enabled: true, run_mode: INCREMENTAL, policy: {{cursor: updated_at}}}}
"""
    )
    measured([INGEST, "apply"], home)
    for title in ("first", "again"):
        done = measured([INGEST, "collect", "shop", "--json"], home)
        print(f"| {name} | {title} | {done.wall_s:.1f} | {done.cpu_s:.1f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
