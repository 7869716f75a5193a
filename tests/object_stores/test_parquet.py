"""Plain Parquet files in an object store: conditional requests, answers that are lost, and names that stores escape."""

import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.errors import Fenced
from ingest_ray.sdk.types import Layout, Prepared, Target, WriteMode
from ingest_ray.sinks.parquet_tables.sink import ParquetSink
from ingest_ray.sinks.parquet_template import ParquetConfig
from ingest_ray.testing.suites.sink_harness import SCHEMA, Load, insist, rows
from tests.object_stores.conftest import Bucket
from tests.object_stores.proxy import Request
from tests.sinks.layout.laid_out import LaidOutSink


class ParquetWorld:
    modes = (WriteMode.APPEND, WriteMode.REPLACE)

    def __init__(self, bucket: Bucket, layout: Layout | None = None) -> None:
        self.bucket = bucket
        self.layout = layout

    def open(self) -> Sink:
        config = {"uri": f"{self.bucket.uri}/lake", "storage_options": self.bucket.options}
        sink: Any = ParquetSink(ParquetConfig.model_validate(config))
        return sink if self.layout is None else LaidOutSink(sink, self.layout)  # type: ignore[no-any-return,return-value]

    def current(self, target: Target) -> dict[str, Any]:
        key = self.bucket.key_of(self.open().location(target))
        found: dict[str, Any] = json.loads(self.bucket.read(f"{key}/current.json"))
        return found

    def read_all(self, target: Target) -> list[dict[str, Any]]:
        key = self.bucket.key_of(self.open().location(target))
        parts = [self.bucket.read(f"{key}/{name}") for name in self.current(target)["files"]]
        tables = [pq.read_table(io.BytesIO(part)) for part in parts]
        return list(pa.concat_tables(tables, promote_options="default").to_pylist())


@pytest.fixture
def world(bucket: Bucket) -> ParquetWorld:
    return ParquetWorld(bucket)


def test_commits_replacements_and_epochs_in_a_store(world: ParquetWorld) -> None:
    load = Load(world, WriteMode.REPLACE)
    load.put((1, 1, "a"), (2, 1, "b"))
    load.put((3, 1, "c"))
    assert load.found() == [(3, 1, "c")]
    world.open().open(load.target, SCHEMA, 2)
    with pytest.raises(Fenced):
        load.put((4, 1, "zombie"))
    assert load.found() == [(3, 1, "c")]


@pytest.mark.parametrize("nth", [0, 1])
def test_a_commit_whose_answer_is_lost_counts_once(world: ParquetWorld, nth: int) -> None:
    """`nth`: of the conditional requests of a commit: its manifest, its pointer."""
    load = Load(world, WriteMode.APPEND)
    load.put((1, 1, "a"))
    seen = []

    def rule(request: Request) -> Any:
        if not request.is_conditional or request.method != "PUT":
            return None
        seen.append(request)
        return "lost" if len(seen) == nth + 1 else None

    prepared = load.prepare(rows((2, 1, "b")))
    world.bucket.proxy.rule = rule
    load.sequence = 2
    receipt = insist(lambda: world.open().commit(load.target, SCHEMA, 1, 2, [prepared]))
    assert receipt.rows_committed == 1
    assert world.bucket.proxy.injected
    assert load.found() == [(1, 1, "a"), (2, 1, "b")]


def test_writers_of_one_number_make_one_commit_and_the_pointer_is_the_newest(world: ParquetWorld) -> None:
    load = Load(world, WriteMode.APPEND)
    for number in range(1, 5):
        groups = [[load.prepare(rows((n, number, "x")))] for n in (1, 2)]
        together = threading.Barrier(2)

        def commit(group: list[Prepared], together: threading.Barrier = together, number: int = number) -> None:
            sink = world.open()
            together.wait()
            insist(lambda: sink.commit(load.target, SCHEMA, 1, number, group))

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(commit, groups))
        assert len(load.found()) == number
        assert world.current(load.target)["version"] == number + 2


def test_names_of_partitions_are_those_of_the_manifest(bucket: Bucket) -> None:
    world = ParquetWorld(bucket, Layout(partition_by=("text",)))
    load = Load(world, WriteMode.APPEND)
    texts = ["a b", "a/b", "x=y", "é%20", None]
    load.put(*((n, 1, text) for n, text in enumerate(texts)))
    assert [row[2] for row in load.found()] == texts
    sink: Any = load.sink
    assert sink.compact(load.target).files_removed == 0
    load.put(*((n, 2, text) for n, text in enumerate(texts)))
    assert sink.compact(load.target).files_removed == 10
    assert sorted(row[1] for row in load.found()) == [1] * 5 + [2] * 5
    assert sink.vacuum(load.target).files_removed == 0
