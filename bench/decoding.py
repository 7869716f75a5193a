"""The CPU of one process that reads lineitem over one connection and drops it: each way in turn, and what machine code costs to load.

    python -m bench.decoding --rows 1000000 --rounds 3

Imports count only where they happen after the start: pg8000's, and the machine code's. PostgreSQL through ADBC (numerics decoded by Arrow's kernels) and decoded here; MariaDB's
text cast by Arrow, text parsed here, and the binary form of a prepared statement. The first line of each round compiles machine code into an empty cache, the second loads it.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from bench.ingest_command import empty_folder
from bench.lineitem import serve_lineitem
from bench.mariadb_to_delta import start_shop
from ingest_ray.sdk.errors import SourceError
from ingest_ray.testing.servers.mariadb import running_server

PAGE_BYTES = 8 * 2**20
PRICE = pa.decimal128(15, 2)
NUMERICS = ("l_quantity", "l_extendedprice", "l_discount", "l_tax")
REST = (
    "l_orderkey",
    "l_partkey",
    "l_suppkey",
    "l_linenumber",
    "l_returnflag",
    "l_linestatus",
    "l_shipdate",
    "l_shipmode",
    "l_comment",
)
MARIA = {
    **dict.fromkeys(("l_id", "l_orderkey", "l_partkey"), pa.int64()),
    **dict.fromkeys(("l_suppkey", "l_linenumber"), pa.int32()),
    **dict.fromkeys(NUMERICS, PRICE),
    **dict.fromkeys(("l_returnflag", "l_linestatus", "l_shipmode", "l_comment"), pa.string()),
    "l_shipdate": pa.date32(),
    "l_receipt": pa.timestamp("us"),
    "l_weight * 1e0": pa.float64(),
}


def load_machine_code(_: str) -> int:
    from ingest_strategies.jdbc.mysql import packet_kernel, value_kernel
    from ingest_strategies.jdbc.postgres import copy_kernel

    for kernel in (copy_kernel, packet_kernel, value_kernel):
        kernel.code.address(next(iter(kernel.code.functions)))
    return 0


def select(numeric: str) -> str:
    names = [*(numeric.format(name) for name in NUMERICS), *REST]
    return f"SELECT {', '.join(f'{name} AS c{index}' for index, name in enumerate(names))} FROM lineitem"


def read_through_adbc(url: str) -> int:
    import adbc_driver_postgresql.dbapi as adbc

    from ingest_strategies.jdbc.postgres.numeric import decode_numerics

    rows = 0
    with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(PAGE_BYTES)})
        cursor.execute(select("numeric_send({})"))
        for batch in cursor.fetch_record_batch():
            for index in range(len(NUMERICS)):
                decode_numerics(batch.column(index), PRICE)
            rows += batch.num_rows
    return rows


def read_decoded_here(url: str) -> int:
    from ingest_strategies.jdbc.postgres.wire import ReadingWire

    socket = f"{url.partition('host=')[2]}/.s.PGSQL.5432"
    settings = {"client_encoding": "UTF8"}
    wire = ReadingWire(
        user="postgres", database="postgres", unix_sock=socket, ssl_context=False, startup_params=settings
    )
    return sum(batch.num_rows for batch in wire.copy(select("{}"), PAGE_BYTES))


def read_mariadb(url: str, *, is_parsed: bool) -> int:
    from ingest_strategies.jdbc.mysql.config import MysqlConfig
    from ingest_strategies.jdbc.mysql.session import MysqlSession
    from ingest_strategies.jdbc.values.wire_text import parse_text

    session = MysqlSession(MysqlConfig(url=url), lambda message, _: SourceError(message))
    types = list(MARIA.values())
    rows = 0
    for batch in session.typed_batches(
        f"SELECT {', '.join(MARIA)} FROM lineitem", PAGE_BYTES, types if is_parsed else ()
    ):
        for column, target in zip(batch.columns, types, strict=True):
            parse_text(column, target)
        rows += batch.num_rows
    return rows


def read_prepared_mariadb(url: str) -> int:
    from ingest_strategies.jdbc.mysql.config import MysqlConfig
    from ingest_strategies.jdbc.mysql.session import MysqlSession

    session = MysqlSession(MysqlConfig(url=url), lambda message, _: SourceError(message))
    names = ", ".join(name.removesuffix(" * 1e0") for name in MARIA)
    batches = session.prepared_batches(f"SELECT {names} FROM lineitem", PAGE_BYTES, list(MARIA.values()))
    if batches is None:
        raise SystemExit("the server prepares no statement")
    return sum(batch.num_rows for batch in batches)


WAYS: dict[str, Callable[[str], int]] = {
    "machine code, compiled": load_machine_code,
    "machine code, loaded": load_machine_code,
    "PostgreSQL through ADBC": read_through_adbc,
    "PostgreSQL decoded here": read_decoded_here,
    "MariaDB, text cast by Arrow": lambda url: read_mariadb(url, is_parsed=False),
    "MariaDB, parsed here": lambda url: read_mariadb(url, is_parsed=True),
    "MariaDB, prepared statement": read_prepared_mariadb,
}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder", type=Path, default=Path("demo-home/decoding"))
    options.add_argument("--way", choices=WAYS, help="run this one only, against --url")
    options.add_argument("--url", default="")
    given = options.parse_args()
    if given.way:
        before = time.process_time()
        rows = WAYS[given.way](given.url)
        print(rows, time.process_time() - before)
        return 0
    folder = empty_folder(given.folder.absolute())
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    postgres = serve_lineitem(folder / "pg", given.rows)
    with running_server("--innodb-buffer-pool-size=1G") as server:
        maria = start_shop(server, given.rows)
        for _ in range(given.rounds):
            shutil.rmtree(folder / "cache", ignore_errors=True)
            for name, measures in found.items():
                url = maria if name.startswith("MariaDB") else postgres
                measures.append(cpu_of(name, url, folder / "cache", given.rows))
    print(f"\n{given.rows:,} rows, medians of {given.rounds} rounds\n\n| what | CPU s | from - to |\n|---|---|---|")
    for name, measures in found.items():
        print(f"| {name} | {statistics.median(measures):.3f} | {min(measures):.3f} - {max(measures):.3f} |")
    return 0


def cpu_of(name: str, url: str, cache: Path, rows: int) -> float:
    command = [sys.executable, "-m", "bench.decoding", "--way", name, "--url", url]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    read, cpu_s = done.stdout.split()
    if int(read) not in (0, rows):
        raise SystemExit(f"{name}: {read} rows")
    return float(cpu_s)


if __name__ == "__main__":
    sys.exit(main())
