"""The behaviour suite of every staging provider. A new provider runs it with one line:

class TestMine(StagingSuite): world = pytest.fixture(lambda tmp_path: MyWorld(tmp_path))
"""

import json
from typing import Any, Protocol

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_ray.sdk.contracts import Staging
from ingest_ray.sdk.errors import SourceChanged, StagingLost
from ingest_ray.sdk.row_hash import row_hash
from ingest_ray.sdk.types import Handle, PageInfo
from ingest_ray.staging import sweep_stale

PAGE_BYTES = 64 * 1024
SCHEMA = pa.schema([pa.field("id", pa.int64(), nullable=False), ("text", pa.string()), ("list", pa.list_(pa.int32()))])
_QUICK = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


class StagingWorld(Protocol):
    """A provider with a page target of `PAGE_BYTES`, and methods that lose or damage its pages."""

    staging: Staging

    def again(self) -> Staging:
        """The same staging area as another process sees it."""
        ...

    def lose_page(self, handle: Handle, number: int) -> None: ...

    def damage_page(self, handle: Handle, number: int) -> None:
        """Changes one byte."""
        ...


def rows(count: int, start: int = 0, chars: int = 20) -> pa.RecordBatch:
    values = [
        {"id": i, "text": f"{i:0{chars}}", "list": [i, None] if i % 3 else None} for i in range(start, start + count)
    ]
    return pa.RecordBatch.from_pylist(values, schema=SCHEMA)


def stage(
    staging: Staging, *batches: pa.RecordBatch, run: str = "r1", piece: str = "all~s~0", attempt: int = 1
) -> Handle:
    writer = staging.open(run, piece, attempt, SCHEMA)
    for batch in batches:
        writer.write(batch)
    return writer.close()


def read(staging: Staging, handle: Handle) -> list[dict[str, Any]]:
    return [row for batch in staging.read(handle) for row in batch.to_pylist()]


class StagingSuite:
    def test_rows_come_back_in_order_and_through_json(self, world: StagingWorld) -> None:
        handle = stage(world.staging, rows(100), rows(50, start=100))
        again = Handle.model_validate_json(handle.model_dump_json())
        assert again == handle
        assert read(world.again(), again) == rows(150).to_pylist()
        assert (handle.rows, handle.row_hash) == (150, row_hash(rows(150)))

    def test_the_schema_comes_back_with_its_promises(self, world: StagingWorld) -> None:
        (batch,) = world.staging.read(stage(world.staging, rows(3)))
        assert batch.schema == SCHEMA

    def test_a_slice_without_rows_is_a_slice(self, world: StagingWorld) -> None:
        for handle in (stage(world.staging), stage(world.staging, rows(0), piece="all~s~1")):
            assert (handle.rows, handle.bytes, handle.row_hash) == (0, 0, row_hash())
            assert read(world.staging, handle) == []

    @_QUICK
    @given(sizes=st.lists(st.integers(0, 3_000), max_size=8))
    def test_pages_have_their_size_however_the_batches_are_cut(self, world: StagingWorld, sizes: list[int]) -> None:
        batches = [rows(size, start=index * 10_000) for index, size in enumerate(sizes)]
        handle = stage(world.staging, *batches)
        pages = list(world.staging.read(handle))
        assert all(page.nbytes <= 2 * PAGE_BYTES for page in pages)
        assert all(page.nbytes >= PAGE_BYTES for page in pages[:-1])
        assert [row for page in pages for row in page.to_pylist()] == [
            row for batch in batches for row in batch.to_pylist()
        ]
        assert handle.row_hash == row_hash(*batches)

    def test_one_row_that_is_larger_than_a_page_has_a_page_alone(self, world: StagingWorld) -> None:
        large = rows(1, start=5, chars=20 * PAGE_BYTES)
        handle = stage(world.staging, rows(5), large, rows(5, start=6))
        assert read(world.staging, handle)[5] == large.to_pylist()[0]
        assert sorted(page.rows for page in handle.pages)[0] == 1

    def test_a_slice_of_a_larger_batch_stages_only_its_rows(self, world: StagingWorld) -> None:
        handle = stage(world.staging, rows(50_000).slice(1_000, 10))
        assert handle.bytes < PAGE_BYTES
        assert read(world.staging, handle) == rows(10, start=1_000).to_pylist()

    def test_another_schema_than_declared_is_refused_and_its_columns_named(self, world: StagingWorld) -> None:
        writer = world.staging.open("r1", "all~s~0", 1, SCHEMA)
        with pytest.raises(SourceChanged, match="'text'"):
            writer.write(rows(1).set_column(1, "text", pa.array([1])))
        with pytest.raises(SourceChanged, match="'list'"):
            writer.write(rows(1).select(["id", "text"]))

    def test_c35_pages_without_a_manifest_are_swept_and_belong_to_nobody(self, world: StagingWorld) -> None:
        writer = world.staging.open("r1", "all~s~0", 1, SCHEMA)
        writer.write(rows(20_000))
        freed = world.again().sweep("r1")
        assert freed > 0
        assert world.staging.runs() == []

    def test_an_aborted_attempt_leaves_no_bytes(self, world: StagingWorld) -> None:
        writer = world.staging.open("r1", "all~s~0", 1, SCHEMA)
        writer.write(rows(20_000))
        writer.abort()
        assert world.staging.sweep("r1") == 0

    def test_c35_a_manifest_whose_page_is_gone_is_a_typed_error(self, world: StagingWorld) -> None:
        handle = stage(world.staging, rows(20_000))
        assert len(handle.pages) > 2
        world.lose_page(handle, 1)
        with pytest.raises(StagingLost, match="gone"):
            read(world.again(), handle)

    def test_a_damaged_page_is_found_before_its_rows_are_used(self, world: StagingWorld) -> None:
        handle = stage(world.staging, rows(20_000))
        world.damage_page(handle, 1)
        batches = world.again().read(handle)
        first = next(batches)
        assert first.num_rows == handle.pages[0].rows
        with pytest.raises(StagingLost, match="damaged"):
            next(batches)

    @pytest.mark.parametrize("change", ["rows", "bytes", "checksum", "name", "schema_fingerprint"])
    def test_c36_a_handle_that_does_not_describe_its_pages_is_refused(self, world: StagingWorld, change: str) -> None:
        handle = stage(world.staging, rows(10))
        page = handle.pages[0]
        wrong: dict[str, PageInfo] = {
            "rows": page.model_copy(update={"rows": page.rows + 1}),
            "bytes": page.model_copy(update={"bytes": page.bytes + 8}),
            "checksum": page.model_copy(update={"checksum": "crc32:00000000"}),
            "name": page.model_copy(update={"name": page.name + "x"}),
        }
        update: dict[str, Any] = {"pages": (wrong[change],)} if change in wrong else {change: "0" * 16}
        with pytest.raises(StagingLost):
            read(world.staging, handle.model_copy(update=update))

    def test_two_attempts_are_never_mixed(self, world: StagingWorld) -> None:
        first = stage(world.staging, rows(10_000), attempt=1)
        dead = world.staging.open("r1", "all~s~0", 2, SCHEMA)
        dead.write(rows(20_000, start=5))
        third = stage(world.again(), rows(7, start=3), attempt=3)
        assert read(world.staging, first) == rows(10_000).to_pylist()
        assert read(world.staging, third) == rows(7, start=3).to_pylist()
        assert first.uri != third.uri

    def test_an_attempt_that_is_made_again_starts_from_nothing(self, world: StagingWorld) -> None:
        dead = world.staging.open("r1", "all~s~0", 1, SCHEMA)
        dead.write(rows(20_000))
        assert read(world.staging, stage(world.again(), rows(3))) == rows(3).to_pylist()

    def test_a_dropped_slice_is_gone_and_its_neighbour_is_not(self, world: StagingWorld) -> None:
        gone, kept = stage(world.staging, rows(5)), stage(world.staging, rows(6), piece="all~s~1")
        world.staging.drop(gone)
        world.staging.drop(gone)
        with pytest.raises(StagingLost):
            read(world.again(), gone)
        assert len(read(world.again(), kept)) == 6

    def test_sweeping_a_run_frees_its_bytes_and_no_other(self, world: StagingWorld) -> None:
        dead, live = stage(world.staging, rows(500), run="r/dead"), stage(world.staging, rows(5), run="r live")
        assert sorted(world.again().runs()) == ["r live", "r/dead"]
        freed = sweep_stale(world.again(), live_runs=["r live"])
        assert list(freed) == ["r/dead"]
        assert freed["r/dead"] >= dead.bytes
        assert world.staging.runs() == ["r live"]
        assert len(read(world.staging, live)) == 5

    def test_a_run_that_staged_nothing_is_swept_too(self, world: StagingWorld) -> None:
        assert world.staging.sweep("never") == 0

    def test_c7_a_handle_stays_small(self, world: StagingWorld) -> None:
        handle = stage(world.staging, rows(20_000))
        assert len(json.dumps(handle.model_dump(mode="json"))) < 64 * 1024
