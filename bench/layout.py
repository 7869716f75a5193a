"""What an upsert into a Delta table of 1,000 partitions reads: files, bytes and seconds of CPU, by the number of partitions that it touches.

    python -m bench.layout [--partitions 1000] [--rows 1000]

Bytes are those that the process read from files (`rchar` of /proc/self/io). Keys grow with time, as those of a table do.
"""

import argparse
import datetime as dt
import os
import tempfile
import time
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from ingest_ray.sdk.types import Axis, Effect, Layout, Slice, Target, WriteMode
from ingest_ray.sinks.delta.sink import DeltaSink
from ingest_ray.sinks.templates import DeltaConfig

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
    parser.add_argument("--partitions", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=1_000)
    options = parser.parse_args()
    for entries in ((), ("day(at)",)):
        with tempfile.TemporaryDirectory() as folder:
            measure(folder, entries, options.partitions, options.rows)


def measure(folder: str, entries: tuple[str, ...], partitions: int, per_day: int) -> None:
    sink = DeltaSink(DeltaConfig(uri=folder))
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
        metrics = DeltaTable(sink.location(target)).history(1)[0]["operationMetrics"]
        print(
            f"{entries or 'no partitions'}: {touched} of {partitions} days touched:"
            f" {metrics['num_target_files_removed']} files written again, {(read_bytes() - before) / 1e6:.1f} MB read,"
            f" {time.process_time() - began:.2f} s of CPU"
        )


if __name__ == "__main__":
    main()
