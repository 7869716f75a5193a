"""Histories in SQL databases: commits of 1 % changed rows and as many new ones, into tables of two sizes. CPU of client and server.

    python -m bench.histories --rows 100000 1000000 --database postgres mariadb

What a commit costs should follow the rows that come, not the table.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa

from bench.database import start_postgres
from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.databases.connect import open_sink
from ingest_ray.sinks.templates import SqlConfig
from ingest_ray.testing.servers.mariadb import running_server
from ingest_ray.testing.suites.sink_harness import Load

SCHEMA = pa.schema(
    [("id", pa.int64()), ("version", pa.int64()), ("status", pa.string()), ("ratio", pa.float64())]
    + [(f"note_{number}", pa.string()) for number in range(4)]
)
FIRST_ROWS = 100_000  # of each slice of the first load


@dataclass(frozen=True)
class DatabaseWorld:
    url: str

    def open(self) -> Sink:
        return open_sink(SqlConfig(url=self.url))

    def read_all(self, target: Target) -> list[dict[str, Any]]:
        raise NotImplementedError


def rows_of(ids: range, version: int) -> pa.RecordBatch:
    numbers = pa.array(ids, pa.int64())
    columns = [numbers, pa.repeat(pa.scalar(version, pa.int64()), len(ids))]
    columns += [pa.array([("new", "paid", "shipped")[number % 3] for number in ids]), numbers.cast(pa.float64())]
    columns += [pa.array([f"a comment of row {number}, version {version}" for number in ids])] * 4
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def cpu_of(pid: int) -> float:
    """Of a server, with the processes that it has started."""
    seconds = 0.0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


@contextlib.contextmanager
def server_of(database: str) -> Iterator[tuple[str, int]]:
    if database == "postgres":
        folder = Path(tempfile.mkdtemp())
        yield start_postgres(folder), int((folder / "postmaster.pid").read_text().split()[0])
        return
    with running_server() as server:
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE shop CHARACTER SET utf8mb4")
        yield f"mysql://root@127.0.0.1:{server.port}/shop", server._process.pid


def measure(name: str, url: str, pid: int, rows: int, changes: int) -> None:
    load = Load(DatabaseWorld(url), WriteMode.HISTORY, unit=f"public.t{rows}", schema=SCHEMA)
    for first in range(0, rows, FIRST_ROWS):
        load.commit(load.prepare(rows_of(range(first, min(first + FIRST_ROWS, rows)), 1), first=True))
    for version in (2, 3, 4):
        changed = rows_of(range(version, rows, max(rows // changes, 1)), version)
        new = rows_of(range(rows + version * changes, rows + (version + 1) * changes), version)
        prepared = load.prepare(changed, new, first=False)
        started, client, server = time.monotonic(), sum(os.times()[:2]), cpu_of(pid)
        load.commit(prepared)
        spent = [time.monotonic() - started, sum(os.times()[:2]) - client, cpu_of(pid) - server]
        shown = " | ".join(f"{seconds:.2f}" for seconds in spent)
        print(f"| {name} | {rows:,} | {changed.num_rows:,} + {new.num_rows:,} | {shown} |", flush=True)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    options.add_argument("--database", nargs="+", default=["postgres", "mariadb"])
    options.add_argument("--changes", type=int, default=10_000)
    given = options.parse_args()
    print("| database | rows of the table | changed + new | commit s | CPU s of client | CPU s of server |")
    print("|---|---|---|---|---|---|")
    for database in given.database:
        with server_of(database) as (url, pid):
            for rows in given.rows:
                measure(database, url, pid, rows, given.changes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
