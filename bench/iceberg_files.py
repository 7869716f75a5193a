"""Measures what a 1 % upsert into an Iceberg table costs by the number of its data files, and what an append costs.

    python -m bench.iceberg_files --rows 1000000 --files 1 100 1000 10000

Keys `together` are a hundredth of the key's range, as new versions of recent rows are; keys `in 8 places` are eight such ranges. Every
upsert is committed once by a new process state (nothing decoded yet) and once more by the same one. The table is read back after each:
rows, and rows of the new version.
"""

import argparse
import json
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog

from ingest_ray.sdk.types import Axis, Effect, Prepared, Slice, Target, WriteMode
from ingest_ray.sinks.iceberg import manifests
from ingest_ray.sinks.iceberg.sink import IcebergSink
from ingest_ray.sinks.templates import IcebergConfig

SCHEMA = pa.schema(
    [("id", pa.int64()), ("version", pa.int64()), ("at", pa.timestamp("us", "UTC")), ("amount", pa.decimal128(12, 2))]
    + [(f"text{number}", pa.string()) for number in range(6)]
)
GROUP = 250  # prepared slices a commit
PLACES = 8


@dataclass(frozen=True)
class Measured:
    rows: int
    files: int
    keys: str
    state: str
    wall_s: float
    cpu_s: float
    manifests: int
    files_touched: int


class Lake:
    def __init__(self, root: Path, rows: int) -> None:
        self.root = root
        self.rows = rows
        self.sink = self.open()
        self.sequence = 0
        self.version = 1
        self.target = Target(
            sink_id="lake",
            endpoint_id="shop",
            unit_id="public.orders",
            app_id="shop/public.orders/lake",
            write=WriteMode.UPSERT,
            key=("id",),
            version_column="version",
            run_id="run",
        )
        self.sink.open(self.target, SCHEMA, 1)

    def open(self) -> IcebergSink:
        return IcebergSink(IcebergConfig(warehouse=str(self.root)))

    def prepare(self, ids: np.ndarray, number: int, *, first: bool = False) -> Prepared:
        piece = Slice(
            segment="all",
            scope_id="s",
            rank=(number,),
            axis=Axis(kind="whole"),
            effect=Effect.LOAD,
            is_insert_only=first,
        )
        return self.sink.prepare(self.target, piece, SCHEMA, self._batches(ids))

    def commit(self, *group: Prepared) -> None:
        self.sequence += 1
        self.sink.commit(self.target, SCHEMA, 1, self.sequence, group)

    def load(self, files: int) -> None:
        parts = np.array_split(np.arange(self.rows), files)
        for first in range(0, files, GROUP):
            group = [self.prepare(ids, number, first=True) for number, ids in enumerate(parts[first : first + GROUP])]
            self.commit(*group)

    def paths(self) -> set[str]:
        return {task.file.file_path for task in self._table().scan().plan_files()}

    def manifest_count(self) -> int:
        snapshot = self._table().current_snapshot()
        assert snapshot is not None
        return len(snapshot.manifests(self._table().io))

    def check(self, ids: np.ndarray) -> None:
        found = self._table().scan(selected_fields=("id", "version")).to_arrow()
        newest = found.filter(pa.compute.equal(found.column("version"), self.version)).column("id").to_numpy()
        assert found.num_rows == self.rows, found.num_rows
        assert np.array_equal(np.sort(newest), np.sort(ids))

    def _table(self) -> object:
        return SqlCatalog("ingest", uri=f"sqlite:///{self.root}/catalog.db").load_table("shop.public_orders")  # type: ignore[return-value]

    def _batches(self, ids: np.ndarray) -> Iterator[pa.RecordBatch]:
        texts = pa.array([f"text of row {number} in some words" for number in ids.tolist()])
        columns = [
            pa.array(ids, pa.int64()),
            pa.array(np.full(len(ids), self.version), pa.int64()),
            pa.array(ids * 1_000_000, pa.timestamp("us", "UTC")),
            pa.array(ids % 10_000, pa.int64())
            .cast(pa.decimal128(19, 0))
            .cast(pa.decimal128(21, 2))
            .cast(SCHEMA.field("amount").type),
            *[texts] * 6,
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def together(rows: int) -> np.ndarray:
    return np.arange(rows // 2, rows // 2 + rows // 100)


def in_places(rows: int) -> np.ndarray:
    width = max(1, rows // 100 // PLACES)
    return np.concatenate([np.arange(width) + place * (rows // PLACES) for place in range(PLACES)])


def spent(action: Callable[[], None]) -> tuple[float, float]:
    before, started = _cpu_s(), time.monotonic()
    action()
    return time.monotonic() - started, _cpu_s() - before


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(rows: int, files: int, *, is_checked: bool) -> Iterator[Measured]:
    root = Path(tempfile.mkdtemp(prefix="iceberg-files-"))
    try:
        lake = Lake(root / "lake", rows)
        lake.load(files)
        for name, ids in (("together", together(rows)), ("in 8 places", in_places(rows))):
            for state in ("new process", "same process"):
                if state == "new process":
                    manifests.forget_all()
                    lake.sink = lake.open()
                    lake.sink.read_progress(lake.target)
                lake.version += 1
                prepared = lake.prepare(ids, lake.version)
                before = lake.paths() if is_checked else set()
                wall_s, cpu_s = spent(lambda prepared=prepared: lake.commit(prepared))  # type: ignore[misc]
                touched = len(before - lake.paths()) if is_checked else 0
                if is_checked:
                    lake.check(ids)
                yield Measured(rows, files, name, state, wall_s, cpu_s, lake.manifest_count(), touched)
    finally:
        shutil.rmtree(root)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--files", type=int, nargs="+", default=[1, 100, 1_000, 10_000])
    options.add_argument("--unchecked", action="store_true", help="do not read the table back")
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    print(
        "| rows | files | keys | state | wall s | CPU s | manifests | files touched |\n|---|---|---|---|---|---|---|---|"
    )
    for files in chosen.files:
        for one in measure(chosen.rows, files, is_checked=not chosen.unchecked):
            if chosen.json:
                print(json.dumps(asdict(one)), flush=True)
                continue
            parts = (f"{one.rows:,}", f"{one.files:,}", one.keys, one.state, f"{one.wall_s:.2f}", f"{one.cpu_s:.2f}")
            print(f"| {' | '.join(parts)} | {one.manifests} | {one.files_touched} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
