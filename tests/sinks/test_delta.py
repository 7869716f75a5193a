"""The Delta sink: the behaviour suite, on a local disk and through an object store's interface, and behaviour of Delta only."""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.errors import CommitUnknown, ConfigError, Fenced, SinkRejected, SinkUnavailable
from ingest_ray.sdk.types import Endpoint, Target, WriteMode
from ingest_ray.sinks.delta import table_schema
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.sink import DeltaSink
from ingest_ray.sinks.templates import DeltaConfig, delta
from ingest_ray.testing.suites.sink import SCHEMA, Load, SinkSuite, piece, rows
from ingest_ray.testing.suites.sink_harness import Row


class DeltaWorld:
    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self) -> Sink:
        return DeltaSink(DeltaConfig(uri=str(self._root)))

    def table(self, target: Target) -> pa.Table:
        return DeltaTable(self.open().location(target)).to_pyarrow_table()

    def read_all(self, target: Target) -> list[dict[str, Any]]:
        return list(self.table(target).to_pylist())


def _as_store(uri: str) -> TableFiles:
    Path(uri).mkdir(parents=True, exist_ok=True)
    files = TableFiles(Path(uri).as_uri(), {})
    assert not files.is_local
    return files


class StoreWorld(DeltaWorld):
    is_variant = True

    def open(self) -> Sink:
        return _StoreSink(DeltaConfig(uri=str(self._root)))


class _StoreSink(DeltaSink):
    def table_files(self, target: Target) -> TableFiles:
        return _as_store(super().table_files(target).uri)


class TestDelta(SinkSuite):
    world = pytest.fixture(lambda self, tmp_path: DeltaWorld(tmp_path / "the lake"))


@pytest.mark.slow
class TestDeltaOnAStore(SinkSuite):
    world = pytest.fixture(lambda self, tmp_path: StoreWorld(tmp_path / "lake"))


@pytest.fixture
def world(tmp_path: Path) -> DeltaWorld:
    return DeltaWorld(tmp_path / "lake")


def _folder(load: Load) -> Path:
    return Path(load.sink.location(load.target))


def _parts(load: Load) -> set[str]:
    return {path.name for path in _folder(load).glob("*.parquet")}


def _in_table(load: Load) -> set[str]:
    return {path.rsplit("/", 1)[-1] for path in DeltaTable(str(_folder(load))).file_uris()}


def test_the_table_lies_at_uri_endpoint_unit(world: DeltaWorld, tmp_path: Path) -> None:
    load = Load(world, WriteMode.APPEND)
    assert load.sink.location(load.target) == str(tmp_path / "lake" / "shop" / "public.orders")


def test_a_relative_uri_is_relative_to_the_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    target = Load(DeltaWorld(tmp_path / "lake"), WriteMode.APPEND).target
    assert DeltaSink(DeltaConfig(uri="./lake")).location(target) == str(tmp_path / "lake" / "shop" / "public.orders")
    assert DeltaSink(DeltaConfig(uri=(tmp_path / "lake").as_uri())).location(target) == str(
        tmp_path / "lake" / "shop" / "public.orders"
    )
    remote = DeltaSink(DeltaConfig(uri="s3://bucket/lake/")).location(target.model_copy(update={"unit_id": "a b/é"}))
    assert remote == "s3://bucket/lake/shop/a%20b~2F%C3%A9"


def test_secrets_of_the_store_are_not_shown() -> None:
    config = DeltaConfig.model_validate({"uri": "s3://b", "storage_options": {"AWS_SECRET_ACCESS_KEY": "hush"}})
    assert "hush" not in repr(config)
    assert "hush" not in config.model_dump_json()


def test_an_unknown_setting_is_refused_without_its_value() -> None:
    with pytest.raises(ConfigError, match="nope") as caught:
        delta.open(Endpoint(endpoint_id="lake", template="lake.delta", config={"uri": "x", "nope": "hush"}))
    assert "hush" not in str(caught.value)


def test_a_first_load_is_not_a_merge(world: DeltaWorld) -> None:
    load = Load(world, WriteMode.UPSERT)
    prepared = load.prepare(rows((1, 1, "a")), first=True)
    before = _parts(load)
    load.commit(prepared)
    assert DeltaTable(str(_folder(load))).history(1)[0]["operation"] == "WRITE"
    assert _in_table(load) == before  # the very file that was prepared


def test_an_upsert_of_new_keys_only_is_added_as_one_file(world: DeltaWorld) -> None:
    load = Load(world, WriteMode.UPSERT)
    load.put((1, 1, "a"), (None, 1, "n"))
    before = _in_table(load)
    receipt = load.commit(load.prepare(rows((2, 1, "b"))), load.prepare(rows((3, 1, "c"), (4, None, None))))
    assert DeltaTable(str(_folder(load))).history(1)[0]["operation"] == "WRITE"
    assert (receipt.rows_committed, receipt.rows_deduplicated) == (3, 0)
    assert before < _in_table(load)
    assert len(_in_table(load)) == len(before) + 1
    assert _parts(load) == _in_table(load)  # the two that were prepared are gone
    assert load.found() == [(1, 1, "a"), (2, 1, "b"), (3, 1, "c"), (4, None, None), (None, 1, "n")]


@pytest.mark.parametrize("again", [(1, 2, "b"), (None, 2, "b")])
def test_an_upsert_with_one_key_that_is_there_is_a_merge(world: DeltaWorld, again: Row) -> None:
    load = Load(world, WriteMode.UPSERT)
    load.put((1, 1, "a"), (None, 1, "n"))
    load.commit(load.prepare(rows((7, 1, "c"))), load.prepare(rows((8, 1, "d"), again)))
    assert DeltaTable(str(_folder(load))).history(1)[0]["operation"] == "MERGE"
    assert len(load.found()) == 4
    assert again in load.found()


def test_new_keys_that_come_twice_in_a_group_are_there_once(world: DeltaWorld) -> None:
    load = Load(world, WriteMode.UPSERT)
    load.put((1, 1, "a"))
    receipt = load.commit(load.prepare(rows((2, 1, "b"))), load.prepare(rows((2, 2, "c"))))
    assert (receipt.rows_committed, receipt.rows_deduplicated) == (1, 1)
    assert load.found() == [(1, 1, "a"), (2, 2, "c")]


def test_the_key_of_a_tombstone_is_not_new(world: DeltaWorld) -> None:
    load = Load(world, WriteMode.UPSERT)
    load.put((1, 1, "a"), (2, 1, "b"))
    load.erase([(1,)], "tombstone")
    load.put((1, 2, "back"))
    assert load.found() == [(1, 2, "back"), (2, 1, "b")]


def test_new_keys_respect_the_partitions_that_somebody_gave_the_table(world: DeltaWorld) -> None:
    load = Load(world, WriteMode.UPSERT)
    load.put((1, 1, "a"))
    table = world.table(load.target)
    write_deltalake(str(_folder(load)), table, mode="overwrite", schema_mode="overwrite", partition_by=["text"])
    load.put((2, 1, "b"))
    assert load.found() == [(1, 1, "a"), (2, 1, "b")]
    assert DeltaTable(str(_folder(load))).to_pyarrow_table(filters=[("text", "=", "b")]).num_rows == 1


@pytest.mark.parametrize("is_there", [True, False])
def test_new_keys_whose_commit_fails_or_loses_its_answer_are_there_once(
    world: DeltaWorld, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    load = Load(world, WriteMode.UPSERT)
    load.put((1, 1, "a"))
    group = [load.prepare(rows((2, 1, "b"))), load.prepare(rows((3, 1, "c")))]
    real = DeltaTable.create_write_transaction

    def lossy(self: DeltaTable, *args: object, **more: object) -> None:
        if is_there:
            real(self, *args, **more)  # type: ignore[arg-type]
        raise OSError("connection reset")

    with monkeypatch.context() as patched:
        patched.setattr(DeltaTable, "create_write_transaction", lossy)
        if is_there:
            assert load.commit(*group).rows_committed == 2
        else:
            with pytest.raises(SinkUnavailable):
                load.commit(*group)
            load.sequence -= 1
    if not is_there:
        load.commit(*group)
    assert load.found() == [(1, 1, "a"), (2, 1, "b"), (3, 1, "c")]
    assert _in_table(load) <= _parts(load)


def test_merged_files_do_not_linger(world: DeltaWorld) -> None:
    load = Load(world, WriteMode.UPSERT)
    load.put((1, 1, "a"))
    prepared = load.prepare(rows((1, 2, "b")))
    mine = {str(file["name"]) for file in prepared.payload["files"]}  # type: ignore[index,union-attr,call-overload]
    assert mine <= _parts(load)
    load.commit(prepared)
    assert not mine & _parts(load)


@pytest.mark.slow
def test_a_failed_prepare_leaves_no_file(world: DeltaWorld) -> None:
    load = Load(world, WriteMode.APPEND)

    def broken() -> Iterator[pa.RecordBatch]:
        yield rows((1, 1, "a" * 40_000_000))
        raise SinkUnavailable("staging went away")

    with pytest.raises(SinkUnavailable):
        load.sink.prepare(load.target, piece(1), SCHEMA, broken())
    assert _parts(load) == set()


def test_the_ledger_survives_checkpoints_of_the_log(world: DeltaWorld) -> None:
    load = Load(world, WriteMode.APPEND, epoch=7)
    for n in range(3):
        load.put((n, 1, "a"))
    table = DeltaTable(str(_folder(load)))
    table.create_checkpoint()
    for path in (_folder(load) / "_delta_log").glob("*.json"):
        path.unlink()
    assert load.sink.open(load.target, SCHEMA, 7) == 3
    with pytest.raises(Fenced):
        load.sink.open(load.target, SCHEMA, 6)


def test_an_answer_that_was_lost_after_the_commit_is_no_second_commit(
    world: DeltaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Load(world, WriteMode.APPEND)
    prepared = load.prepare(rows((1, 1, "a")))
    real = DeltaTable.create_write_transaction

    def lossy(self: DeltaTable, *args: object, **more: object) -> None:
        real(self, *args, **more)  # type: ignore[arg-type]
        raise OSError("connection reset")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", lossy)
    assert load.commit(prepared).rows_committed == 1
    assert load.found() == [(1, 1, "a")]


def test_a_commit_whose_end_nobody_can_ask_for_is_unknown(world: DeltaWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Load(world, WriteMode.APPEND)
    prepared = load.prepare(rows((1, 1, "a")))
    folder = _folder(load)

    def torn(*args: object, **more: object) -> None:
        folder.rename(folder.with_name("elsewhere"))
        folder.write_text("no table")
        raise OSError("connection reset")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", torn)
    with pytest.raises(CommitUnknown, match="commit 1 of"):
        load.commit(prepared)


def test_an_outage_before_the_commit_is_tried_again(world: DeltaWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Load(world, WriteMode.APPEND)
    prepared = load.prepare(rows((1, 1, "a")))

    def down(*args: object, **more: object) -> None:
        raise OSError("connection refused")

    with monkeypatch.context() as patched:
        patched.setattr(DeltaTable, "create_write_transaction", down)
        with pytest.raises(SinkUnavailable, match="connection refused"):
            load.commit(prepared)
    load.sequence = 0
    load.commit(prepared)
    assert load.found() == [(1, 1, "a")]


def test_a_full_disk_names_the_table(world: DeltaWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("/dev/full is missing")
    load = Load(world, WriteMode.APPEND)
    monkeypatch.setattr("ingest_ray.sinks.parquet.uuid.uuid4", lambda: "full")
    (_folder(load) / "part-full.parquet").symlink_to("/dev/full")
    with pytest.raises(SinkUnavailable, match=r"public\.orders.*No space left") as caught:
        load.prepare(rows((1, 1, "a")))
    assert "free space" in str(caught.value.hint)


@pytest.mark.parametrize("change", ["drop", "retype"])
def test_a_table_that_was_changed_by_hand_is_refused_by_column(world: DeltaWorld, change: str) -> None:
    load = Load(world, WriteMode.APPEND)
    load.put((1, 1, "a"))
    table = world.table(load.target)
    index = table.schema.names.index("version")
    changed = table.remove_column(index) if change == "drop" else table.set_column(index, "version", pa.array(["1"]))
    write_deltalake(str(_folder(load)), changed, mode="overwrite", schema_mode="overwrite")
    with pytest.raises(SinkRejected, match=r"'version'.*changed by hand"):
        load.sink.open(load.target, SCHEMA, 1)
    assert world.table(load.target).equals(changed)


@pytest.mark.parametrize("write", [WriteMode.APPEND, WriteMode.UPSERT])
def test_a_column_that_is_dropped_by_hand_while_a_run_goes_on_stops_its_next_commit(
    world: DeltaWorld, write: WriteMode
) -> None:
    load = Load(world, write)
    load.put((1, 1, "a"))
    changed = world.table(load.target).drop_columns(["text"])
    write_deltalake(str(_folder(load)), changed, mode="overwrite", schema_mode="overwrite")
    with pytest.raises(SinkRejected, match="'text' is not in table"):
        load.commit(load.prepare(rows((2, 1, "b"))))
    assert world.table(load.target).equals(changed)


def test_a_column_that_somebody_added_is_left_alone(world: DeltaWorld) -> None:
    load = Load(world, WriteMode.UPSERT)
    load.put((1, 1, "a"))
    extra = world.table(load.target).append_column("mine", pa.array(["x"]))
    write_deltalake(str(_folder(load)), extra, mode="overwrite", schema_mode="overwrite")
    load.sink.open(load.target, SCHEMA, 1)
    load.put((1, 2, "b"), (2, 1, "c"))
    assert {row["id"]: row["mine"] for row in world.read_all(load.target)} == {1: "x", 2: None}


def test_a_table_that_was_removed_while_a_run_goes_on_is_refused(world: DeltaWorld) -> None:
    load = Load(world, WriteMode.APPEND)
    prepared = load.prepare(rows((1, 1, "a")))
    shutil.rmtree(_folder(load))
    with pytest.raises(SinkRejected, match="gone"):
        load.commit(prepared)
    with pytest.raises(SinkRejected, match="gone"):
        load.commit(load.prepare(rows((1, 1, "a"))))


def test_replace_may_change_the_type_of_a_column(world: DeltaWorld) -> None:
    load = Load(world, WriteMode.REPLACE)
    load.put((1, 1, "a"))
    load.schema = SCHEMA.set(2, pa.field("text", pa.bool_()))
    load.sink.open(load.target, load.schema, 1)
    assert load.found() == [(1, 1, "a")]
    load.commit(load.prepare(pa.record_batch([[2], [1], [True]], schema=load.schema)))
    assert [row["text"] for row in world.read_all(load.target)] == [True]


def test_two_columns_that_differ_in_case_are_refused(world: DeltaWorld) -> None:
    with pytest.raises(SinkRejected, match="differ only in case"):
        Load(world, WriteMode.APPEND, schema=pa.schema([*SCHEMA, ("ID", pa.int64())]))


def test_a_version_that_would_be_compared_as_text_is_refused(world: DeltaWorld) -> None:
    schema = SCHEMA.set(1, pa.field("version", pa.decimal256(50, 2)))
    with pytest.raises(SinkRejected, match=r"'version'.*ordered"):
        Load(world, WriteMode.UPSERT, schema=schema)


def test_files_are_skipped_by_their_statistics_and_never_wrongly(world: DeltaWorld) -> None:
    load = Load(world, WriteMode.APPEND)
    for start in (0, 100, 200):
        load.put(*((start + n, None if n % 2 else n, "x" * (n * 10)) for n in range(10)))
    load.put((None, None, None))
    actions = pa.table(DeltaTable(str(_folder(load))).get_add_actions(flatten=True)).to_pylist()
    assert sorted(
        (row["min.id"], row["max.id"], row["num_records"]) for row in actions if row["min.id"] is not None
    ) == [
        (0, 9, 10),
        (100, 109, 10),
        (200, 209, 10),
    ]
    dataset = DeltaTable(str(_folder(load))).to_pyarrow_dataset()
    for wanted in range(210):
        found = dataset.to_table(filter=pc.field("id") == wanted).num_rows
        assert found == (1 if wanted % 100 < 10 else 0)
    assert dataset.to_table(filter=pc.field("id").is_null()).num_rows == 1


@pytest.mark.slow
def test_c71_a_large_slice_is_written_in_bounded_memory(world: DeltaWorld) -> None:
    load = Load(world, WriteMode.APPEND)
    text = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz", k=1_000_000))

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(60):
            yield rows(*((start, n, text[n * 7 :]) for n in range(8)))  # about 8 MB each, 480 MB together

    pa.default_memory_pool().release_unused()
    before, pool = pa.total_allocated_bytes(), pa.default_memory_pool()
    peak = 0

    def watched() -> Iterator[pa.RecordBatch]:
        nonlocal peak
        for batch in batches():
            peak = max(peak, pool.bytes_allocated() - before)
            yield batch

    prepared = load.sink.prepare(load.target, piece(1), SCHEMA, watched())
    assert prepared.rows == 480
    assert len(prepared.payload["files"]) > 1  # type: ignore[arg-type]
    assert peak < 200_000_000
    load.commit(prepared)
    assert len(world.read_all(load.target)) == 480


@pytest.mark.parametrize("step", ["create_write_transaction", "merge"])
def test_a_commit_is_made_only_from_the_snapshot_that_was_compared(
    world: DeltaWorld, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Delta's own retries would take a snapshot in which neither the epoch nor the columns nor the keys were compared."""
    load = Load(world, WriteMode.APPEND if step == "create_write_transaction" else WriteMode.UPSERT)
    load.put((1, 1, "a"))
    prepared = load.prepare(rows((1, 2, "b")))
    stored = world.table(load.target)
    real = getattr(DeltaTable, step)

    def overtaken(self: DeltaTable, *args: Any, **more: Any) -> Any:
        with monkeypatch.context() as patched:
            patched.setattr(DeltaTable, step, real)
            write_deltalake(str(_folder(load)), stored, mode="append")
        return real(self, *args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(DeltaTable, step, overtaken)
        with pytest.raises(SinkUnavailable):
            load.commit(prepared)
    assert load.sink.open(load.target, SCHEMA, 1) == 1
    assert world.table(load.target).num_rows == 2


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_process_that_dies_while_a_column_is_widened_leaves_a_table_that_the_next_run_uses(
    world: DeltaWorld, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Before the types are recorded, before the files are written again, and between them and the record of the new type."""
    narrow = pa.schema([("id", pa.int64()), ("version", pa.int64()), ("n", pa.int16())])
    load = Load(world, WriteMode.UPSERT, schema=narrow)
    load.commit(load.prepare(pa.record_batch([[1], [1], [7]], schema=narrow)))
    load.schema = narrow.set(2, pa.field("n", pa.int64()))
    steps = iter(range(3))

    def dying(name: str) -> Any:
        real = getattr(table_schema, name)

        def call(*given: Any) -> Any:
            if next(steps) == step:
                raise KeyboardInterrupt
            return real(*given)

        return call

    with monkeypatch.context() as patch:
        for name in ("_record_columns", "_rewrite"):
            patch.setattr(table_schema, name, dying(name))
        with pytest.raises(KeyboardInterrupt):
            load.reopen()
    load.sink = world.open()
    load.reopen()
    load.commit(load.prepare(pa.record_batch([[2], [1], [2**40]], schema=load.schema)))
    assert {row["id"]: row["n"] for row in world.read_all(load.target)} == {1: 7, 2: 2**40}
    load.schema = narrow
    load.reopen()
    load.commit(load.prepare(pa.record_batch([[3], [1], [8]], schema=narrow)))
    assert {row["id"]: row["n"] for row in world.read_all(load.target)} == {1: 7, 2: 2**40, 3: 8}
