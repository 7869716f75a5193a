"""Files that readers stage in an object store: what they cost, and what a broken upload leaves."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ingest_ray.sdk.contracts import FileStager
from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Prepared, WriteMode
from ingest_ray.testing.suites.sink_adoption import new_rows
from ingest_ray.testing.suites.sink_harness import SCHEMA, Load, Row, rows
from tests.object_stores.conftest import Bucket
from tests.object_stores.test_delta import LakeWorld
from tests.object_stores.test_iceberg import CloudWorld, cloud


@pytest.fixture(params=["delta", "iceberg"])
def load(bucket: Bucket, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Load]:
    with ExitStack() as stack:
        world = LakeWorld(bucket) if request.param == "delta" else cloud("sqlite", bucket, tmp_path, request, stack)
        yield Load(world, WriteMode.APPEND)


def stage(load: Load, number: int, *values: Row) -> Prepared:
    assert isinstance(load.sink, FileStager)
    return load.sink.stage_files(load.target, new_rows(number), 1, SCHEMA, iter([rows(*values)]))


def bucket_of(load: Load) -> Bucket:
    assert isinstance(load.world, LakeWorld | CloudWorld)
    return load.world.bucket


def files_of(load: Load) -> list[str]:
    return [key for key in bucket_of(load).listed() if key.endswith(".parquet")]


def test_a_staged_slice_costs_one_request_and_is_read_by_no_commit(load: Load) -> None:
    requests = bucket_of(load).proxy.requests
    first = stage(load, 1, (1, 1, "a"))  # the first one reads the columns of the table
    before = len(requests)
    second = stage(load, 2, (2, 1, "b"))
    assert len(requests) - before == 1
    before = len(requests)
    load.commit(first, second)
    assert not [request for request in requests[before:] if ".parquet" in request.path]
    assert load.found() == [(1, 1, "a"), (2, 1, "b")]
    assert len(files_of(load)) == 2


def test_an_upload_that_is_refused_leaves_no_file_and_a_later_one_counts(load: Load) -> None:
    stage(load, 1, (1, 1, "other"))
    proxy = bucket_of(load).proxy
    before = files_of(load)
    proxy.rule = lambda request: "denied" if request.method == "PUT" and ".parquet" in request.path else None
    with pytest.raises(SinkRejected):
        stage(load, 2, (2, 1, "b"))
    proxy.rule = lambda _: None
    assert files_of(load) == before
    load.commit(stage(load, 2, (2, 1, "b")))
    assert load.found() == [(2, 1, "b")]


def test_what_a_lost_run_staged_is_swept_from_the_store_and_what_it_committed_stays(load: Load) -> None:
    load.commit(stage(load, 1, (1, 1, "a")))
    stage(load, 2, (2, 1, "never named"))
    new = Load(load.world, WriteMode.APPEND, epoch=2, run="run-2")
    assert isinstance(new.sink, FileStager)
    assert new.sink.sweep_files(new.target, "run-1") == 1
    assert len(files_of(load)) == 1
    assert load.found() == [(1, 1, "a")]
