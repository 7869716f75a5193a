"""The Delta sink in an object store: the reads of the log, and faults of the store.

Without merges: the library holds the interpreter's lock while it reads a table for one, and the proxy is in this process.
"""

import io
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.errors import CommitUnknown, SinkRejected, SinkUnavailable
from ingest_ray.sdk.types import Receipt, Target, WriteMode
from ingest_ray.sinks.delta.sink import DeltaSink
from ingest_ray.sinks.templates import DeltaConfig
from ingest_ray.testing.suites.sink_harness import Load, Row, insist, rows
from tests.object_stores.conftest import Bucket
from tests.object_stores.proxy import Fault, Request, every, first_of, some

LOG_READS = 12


class LakeWorld:
    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def open(self) -> Sink:
        options: dict[str, Any] = {**self.bucket.options, "max_retries": "4", "timeout": "20s"}
        return DeltaSink(DeltaConfig.model_validate({"uri": f"{self.bucket.uri}/the lake", "storage_options": options}))

    def read_all(self, target: Target) -> list[dict[str, Any]]:
        table = DeltaTable(self.open().location(target), storage_options=self.bucket.options)
        parts = [self.bucket.read(unquote(self.bucket.key_of(uri))) for uri in table.file_uris()]
        tables = [pq.read_table(io.BytesIO(part)) for part in parts]
        return list(pa.concat_tables(tables, promote_options="default").to_pylist()) if tables else []


@pytest.mark.parametrize(
    ("fault", "meaning"), [("denied", "credentials are wrong"), ("no-bucket", "bucket does not exist")]
)
def test_a_cause_that_stays_is_named_and_final(world: LakeWorld, fault: Fault, meaning: str) -> None:
    world.bucket.proxy.rule = lambda _: fault
    with pytest.raises(SinkRejected, match=meaning) as caught:
        Load(world, WriteMode.APPEND)
    assert caught.value.hint
    assert len(world.bucket.proxy.requests) <= 3


@pytest.fixture
def world(bucket: Bucket) -> LakeWorld:
    return LakeWorld(bucket)


def log_reads(world: LakeWorld, action: Callable[[], object]) -> int:
    before = len(world.bucket.proxy.requests)
    action()
    return world.bucket.proxy.count(since=before, only=lambda request: request.is_log)


@pytest.mark.slow
def test_the_log_is_read_as_often_at_the_twentieth_commit_as_at_the_third(world: LakeWorld) -> None:
    load = Load(world, WriteMode.APPEND)
    reads = [log_reads(world, lambda number=number: load.put((number, 1, "x"))) for number in range(23)]  # type: ignore[misc]
    with_checkpoint = [count for count in reads if count > LOG_READS]
    assert len(with_checkpoint) <= 3  # the first looks up the columns, and each tenth writes a checkpoint
    assert sum(reads) / len(reads) <= LOG_READS
    assert sorted(reads)[len(reads) // 2] <= LOG_READS - 4
    assert len(load.found()) == 23
    assert log_reads(world, lambda: Load(world, WriteMode.APPEND, epoch=2)) < 45  # opened from the checkpoint


def test_a_commit_whose_answer_is_lost_counts_once(world: LakeWorld) -> None:
    load = Load(world, WriteMode.APPEND)
    load.put((1, 1, "a"))
    world.bucket.proxy.rule = _once("lost", lambda request: request.is_conditional)
    receipt = _put(load, (2, 1, "b"))
    assert (receipt.sequence, receipt.rows_committed) == (2, 1)
    assert [row[0] for row in load.found()] == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["busy", "cut", "lost", "slow"])
def test_faults_lose_and_double_no_row(world: LakeWorld, fault: Fault) -> None:
    load = Load(world, WriteMode.APPEND)
    world.bucket.proxy.delay_s = 0.02
    world.bucket.proxy.rule = first_of([some(0.15, fault), every(9, "lost", only=lambda one: one.is_conditional)])
    for number in range(3):
        _put(load, (number, 1, "x"), (number + 100, 1, "y"))
    world.bucket.proxy.rule = lambda _: None
    assert sorted(str(row[0]) for row in load.found()) == ["0", "1", "100", "101", "102", "2"]


def _once(fault: Fault, only: Callable[[Request], bool]) -> Callable[[Request], Fault | None]:
    done: list[Request] = []

    def rule(request: Request) -> Fault | None:
        if done or not only(request):
            return None
        done.append(request)
        return fault

    return rule


def _retried(action: Callable[[], Any]) -> Any:
    for _ in range(20):
        try:
            return action()
        except SinkUnavailable:
            continue
    raise AssertionError("the sink was not available twenty times")


def _put(load: Load, *values: Row) -> Receipt:
    """Prepares and commits as the engine does: an unknown end is looked up by opening the sink."""
    prepared = _retried(lambda: load.prepare(rows(*values)))
    load.sequence += 1
    commit = lambda: load.sink.commit(load.target, load.schema, load.epoch, load.sequence, [prepared])  # noqa: E731
    for _ in range(20):
        try:
            return insist(commit)
        except CommitUnknown:
            _retried(lambda: load.sink.open(load.target, load.schema, load.epoch))
    raise AssertionError("the commit was not known twenty times")
