"""What a commit of one row costs as a Delta table gets older: `python -m bench.commits --commits 10000`.

CPU of the process, and what it read (`rchar`, `syscr` of `/proc/self/io`), per commit, in windows of a hundred commits.
"""

import argparse
import tempfile
import time
from pathlib import Path

import pyarrow as pa

from ingest_ray.sdk.types import Axis, Effect, Slice, Target, WriteMode
from ingest_ray.sinks.delta.sink import DeltaSink
from ingest_ray.sinks.templates import DeltaConfig

SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string())])
WINDOW = 100


def read_counts() -> tuple[int, int]:
    """Bytes, and calls of `read`."""
    lines = [line.partition(": ") for line in Path("/proc/self/io").read_text().splitlines()]
    fields = {name: int(value) for name, _, value in lines}
    return fields["rchar"], fields["syscr"]


def main(commits: int) -> None:
    shown = {100, 1_000, 2_000, 5_000, 10_000, commits}
    with tempfile.TemporaryDirectory() as folder:
        sink = DeltaSink(DeltaConfig(uri=f"{folder}/lake"))
        target = Target(
            sink_id="sink", endpoint_id="e", unit_id="u", app_id="e/u/sink", write=WriteMode.APPEND, run_id="run-1"
        )
        sink.open(target, SCHEMA, 1)
        cpu, (read, calls) = time.process_time(), read_counts()
        for number in range(1, commits + 1):
            piece = Slice(
                segment="all",
                scope_id="s",
                rank=(number,),
                axis=Axis(kind="whole"),
                effect=Effect.LOAD,
                is_insert_only=True,
            )
            batch = pa.record_batch([[number], ["x"]], schema=SCHEMA)
            prepared = sink.prepare(target, piece, SCHEMA, iter([batch]))
            sink.commit(target, SCHEMA, 1, number, [prepared])
            if number % WINDOW == 0:
                now, (read_now, calls_now) = time.process_time(), read_counts()
                if number in shown:
                    print(
                        f"commit {number:6}: {(now - cpu) / WINDOW * 1e3:6.2f} ms of CPU, "
                        f"{(read_now - read) / WINDOW / 1024:8.1f} KiB in {(calls_now - calls) / WINDOW:6.1f} reads",
                        flush=True,
                    )
                cpu, read, calls = now, read_now, calls_now


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=10_000)
    main(parser.parse_args().commits)
