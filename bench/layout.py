"""What an upsert into a Delta or Iceberg table of 1,000 partitions reads: files, bytes and seconds of CPU, by the number of partitions that it touches.

    python -m bench.layout [--sink lake.iceberg] [--partitions 1000] [--rows 1000]

Bytes are those that the process read from files (`rchar` of /proc/self/io). Keys grow with time, as those of a table do.
"""

import argparse
import datetime as dt
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable
from pyiceberg.catalog.sql import SqlCatalog

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.types import Axis, Effect, Layout, Slice, Target, WriteMode
from ingest_ray.sinks.delta.sink import DeltaSink
from ingest_ray.sinks.iceberg.sink import IcebergSink
from ingest_ray.sinks.templates import DeltaConfig, IcebergConfig

Removed = Callable[[Target], int]

SCHEMA = pa.schema([("id", pa.int64()), ("at", pa.timestamp("us", "UTC")), ("text", pa.string())])
BEGIN = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def rows(days: range, per_day: int, text: str) -> pa.RecordBatch:
    ids = [day * 1_000_000 + n for day in days for n in range(per_day)]
    moments = [BEGIN + dt.timedelta(days=day) for day in days for _ in range(per_day)]
    return pa.record_batch([ids, moments, [f"{text} {os.urandom(32).hex()}" for _ in ids]], schema=SCHEMA)


def piece(number: int) -> Slice:
    whole = Axis(kind="whole")
    return Slice(
        segment="all", scope_id="s", rank=(number,), axis=whole, effect=Effect.LOAD, is_insert_only=number == 0
    )


def read_bytes() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(lines[0].partition(": ")[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sink", choices=["lake.delta", "lake.iceberg"], default="lake.delta")
    parser.add_argument("--partitions", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=1_000)
    options = parser.parse_args()
    for entries in ((), ("day(at)",)):
        with tempfile.TemporaryDirectory() as folder:
            sink, removed = SINKS[options.sink](folder)
            measure(sink, removed, entries, options.partitions, options.rows)


def delta(folder: str) -> tuple[Sink, Removed]:
    sink = DeltaSink(DeltaConfig(uri=folder))

    def removed(target: Target) -> int:
        return int(DeltaTable(sink.location(target)).history(1)[0]["operationMetrics"]["num_target_files_removed"])

    return sink, removed


def iceberg(folder: str) -> tuple[Sink, Removed]:
    catalog = SqlCatalog("ingest", uri=f"sqlite:///{folder}/catalog.db")

    def removed(target: Target) -> int:
        snapshot = catalog.load_table("shop.orders").current_snapshot()
        assert snapshot is not None
        assert snapshot.summary is not None
        return int(snapshot.summary["deleted-data-files"] or 0)

    return IcebergSink(IcebergConfig(warehouse=folder)), removed


SINKS = {"lake.delta": delta, "lake.iceberg": iceberg}


def measure(sink: Sink, removed: Removed, entries: tuple[str, ...], partitions: int, per_day: int) -> None:
    target = Target(
        sink_id="lake",
        endpoint_id="shop",
        unit_id="orders",
        app_id="shop:orders",
        write=WriteMode.UPSERT,
        key=("id",),
        layout=Layout(partition_by=entries, compact_after=0),
    )
    sink.open(target, SCHEMA, 1)
    first = sink.prepare(target, piece(0), SCHEMA, [rows(range(partitions), per_day, "old")])
    sink.commit(target, SCHEMA, 1, 1, [first])
    for number, touched in enumerate((1, 10, 100), 2):
        days = range(partitions - touched, partitions)
        prepared = sink.prepare(target, piece(number), SCHEMA, [rows(days, per_day // 10, "new")])
        before, began = read_bytes(), time.process_time()
        sink.commit(target, SCHEMA, 1, number, [prepared])
        read, spent = read_bytes() - before, time.process_time() - began
        print(
            f"{entries or 'no partitions'}: {touched} of {partitions} days touched:"
            f" {removed(target)} files written again, {read / 1e6:.1f} MB read, {spent:.2f} s of CPU",
            flush=True,
        )


if __name__ == "__main__":
    main()
