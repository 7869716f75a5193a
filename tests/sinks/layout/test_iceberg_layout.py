"""Iceberg tables with a layout: the format's own partitions, merges that read only what they must, and partition evolution."""

import datetime as dt
import random
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform, VoidTransform

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.errors import Fenced, SinkRejected, StagingLost, TargetChanged
from ingest_ray.sdk.types import Layout, WriteMode
from ingest_ray.sinks.iceberg.layout.partition_spec import table_partitions
from ingest_ray.testing.suites.sink import SinkSuite
from tests.sinks.iceberg.world import IcebergWorld
from tests.sinks.layout.laid_out import LaidOutSink
from tests.sinks.layout.test_delta_layout import LAYOUTS, SCHEMA, Row, Unit, at, batch, drawn_time
from tests.sinks.layout.test_laid_out_changes import Log

BY_MONTH = Layout(partition_by=("month(at)", "endpoint"))


class LaidOutIceberg(IcebergWorld):
    def __init__(self, root: Path, layout: Layout) -> None:
        super().__init__(root)
        self.layout = layout

    def open(self) -> Sink:
        sink: Any = LaidOutSink(super().open(), self.layout)
        return sink  # type: ignore[no-any-return]

    def table(self, target: Any) -> Table:
        name = super().open()._catalog.identifier(target)  # type: ignore[attr-defined]
        return self.catalog().load_table(name)


@pytest.mark.faults
class TestLaidOutIceberg(SinkSuite):
    """The behaviour suite over partitions by hash of the key, and by a column that changes."""

    @pytest.fixture(params=[("bucket(3, id)",), ("day(_ingest_at)", "endpoint")], ids=str)
    def world(self, request: pytest.FixtureRequest, tmp_path: Path) -> LaidOutIceberg:
        return LaidOutIceberg(tmp_path / "lake", Layout(partition_by=request.param, cluster_by=("version",)))


class IcebergUnit(Unit):
    world: Any

    @property
    def table(self) -> Any:
        return self.world.table(self.target)

    def paths(self) -> dict[tuple[Any, ...], list[str]]:
        found: dict[tuple[Any, ...], list[str]] = {}
        for task in self.table.scan().plan_files():
            place = tuple(task.file.partition[n] for n in range(len(task.file.partition)))
            found.setdefault(place, []).append(task.file.file_path.removeprefix("file://"))
        return found

    def change_layout(self, layout: Layout) -> Any:
        self.epoch += 1
        self.lay_out(layout)
        report = self.upkeep.relayout(self.target, SCHEMA, self.epoch)
        self.sink.open(self.target, SCHEMA, self.epoch)
        return report

    def lay_out(self, layout: Layout) -> None:
        self.world.layout = layout
        self.sink = self.world.open()

    @property
    def upkeep(self) -> Any:
        return self.sink


def unit(folder: Path, layout: Layout = BY_MONTH, write: WriteMode = WriteMode.UPSERT, **facts: Any) -> IcebergUnit:
    return IcebergUnit(LaidOutIceberg(folder / "lake", layout), write, **{"schema": SCHEMA, **facts})


def month(moment: dt.datetime) -> int:
    return (moment.year - 1970) * 12 + moment.month - 1


def test_a_filter_of_the_source_column_plans_only_files_of_its_partition(tmp_path: Path) -> None:
    load = unit(tmp_path)
    load.put_rows((1, 1, at(0), "a"), (2, 1, at(5), "b"), (3, 1, None, "c"), first=True)
    assert sorted(load.paths(), key=repr) == sorted(
        [(month(at(0)), "shop"), (month(at(5)), "shop"), (None, "shop")], key=repr
    )
    for name in ("at", "_ingest_endpoint"):
        assert load.table.scan(row_filter=f"{name} is null").to_arrow().num_rows == (1 if name == "at" else 0)
    found = load.table.scan(row_filter="at >= '2020-06-01T00:00:00+00:00' and at < '2020-07-01T00:00:00+00:00'")
    assert len(list(found.plan_files())) == 1
    assert [row["id"] for row in found.to_arrow().to_pylist()] == [2]
    connection = duckdb.connect()
    try:
        connection.load_extension("iceberg")
    except duckdb.Error:
        return
    query = f"select id, _ingest_endpoint from iceberg_scan('{load.table.metadata_location}') order by id"
    assert connection.execute(query).fetchall() == [(1, "shop"), (2, "shop"), (3, "shop")]


def test_partition_values_are_those_of_the_library(tmp_path: Path) -> None:
    """Every value of a manifest is what pyiceberg's own transform makes of the row, also far away and before 1970."""
    entries = ("year(at)", "month(at)", "day(at)", "hour(at)", "bucket(7, id)", "truncate(3, text)", "version")
    load = unit(tmp_path, Layout(partition_by=entries))
    moments = [dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC)]
    moments += [dt.datetime(9999, 12, 31, 23, tzinfo=dt.UTC), at(3)]
    load.put_rows(*((n - 2, n, moment, "é\U0001f600xyz"[n:]) for n, moment in enumerate(moments)), first=True)
    assert len(load.paths()) == 4
    types = [load.table.schema().find_type(field.source_id) for field in load.table.spec().fields]
    rows = {row["version"]: row for row in load.world.read_all(load.target)}
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    for place in load.paths():
        row = rows[place[-1]]
        for value, field, kind in zip(place, load.table.spec().fields, types, strict=True):
            given = row[load.table.schema().find_column_name(field.source_id)]
            given = (given - epoch) // dt.timedelta(microseconds=1) if isinstance(given, dt.datetime) else given
            assert value == field.transform.transform(kind)(given), field


def test_a_row_whose_month_changes_moves_and_is_there_once(tmp_path: Path) -> None:
    load = unit(tmp_path)
    load.put_rows((1, 1, at(0), "a"), (2, 1, at(0), "b"), (3, 1, None, "c"), (5, 1, at(1), "e"), first=True)
    load.put_rows((1, 2, at(7), "moved"), (3, 2, at(1), "known now"), (4, 1, None, "new"), (5, 2, at(7), "moved"))
    assert [row[0] for row in load.rows()] == [1, 2, 3, 4, 5]
    assert {place[0]: len(paths) for place, paths in load.paths().items()} == {
        month(at(7)): 1,  # one file of all that moved there
        month(at(0)): 1,
        month(at(1)): 1,
        None: 1,
    }
    assert_partitions_are_right(load)


@pytest.mark.parametrize("month_count", [60, pytest.param(1_000, marks=pytest.mark.faults)])
def test_a_merge_reads_only_files_that_can_have_its_keys(tmp_path: Path, month_count: int) -> None:
    """Files of other partitions cannot be read at all, and the merge does not notice. Ids grow with time, as those of a table do."""
    load = unit(tmp_path)
    load.put_rows(
        *((number * 10 + n, 1, at(number), "a") for number in range(month_count) for n in range(3)), first=True
    )
    assert len(load.paths()) == month_count
    kept = {month(at(7)), month(at(month_count - 1))}
    spoil(load, lambda place: place[0] in kept)
    receipt = load.put_rows((70, 2, at(month_count - 1), "moved"), (month_count * 10 - 10, 2, at(month_count - 1), "b"))
    assert (receipt.rows_committed, receipt.rows_deduplicated) == (2, 0)
    load.put_rows((10**6, 1, at(month_count - 1), "new key"))
    assert load.erase([(70,), (71,)], "delete") == 2
    assert load.erase([(72,), (10**9,)], "tombstone") == 1


def test_where_the_key_decides_the_partition_no_other_key_is_read(tmp_path: Path) -> None:
    load = unit(tmp_path, Layout(partition_by=("bucket(16, id)",)))
    load.put_rows(*((number, 1, None, "a") for number in range(40)), (None, 1, None, "null"), first=True)
    (wanted,) = [
        place for place, paths in load.paths().items() if 7 in pq.read_table(paths[0], columns=["id"])["id"].to_pylist()
    ]
    spoil(load, lambda place: place in (wanted, (None,)))
    assert load.put_rows((7, 2, None, "b"), (None, 2, None, "n")).rows_deduplicated == 0
    found = load.table.scan(row_filter="id = 7").to_arrow().to_pylist()
    assert [(row["id"], row["text"]) for row in found] == [(7, "b")]


def spoil(load: IcebergUnit, is_kept: Any) -> None:
    for place, paths in load.paths().items():
        for path in paths if not is_kept(place) else []:
            Path(path).write_bytes(b"spoiled")


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.faults) for seed in range(3, 40))])
def test_any_history_of_a_laid_out_table_has_the_rows_of_a_plain_model(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    load = unit(tmp_path, chance.choice(LAYOUTS))
    model: dict[int | None, Row] = {}
    for step in range(8):
        action = chance.choice(["put", "put", "put", "erase", "compact", "relayout", "reopen"])
        if action == "put":
            rows = [
                (chance.choice([None, *range(8)]), step, drawn_time(chance), chance.choice(["x", "y", None]))
                for _ in range(5)
            ]
            load.put_rows(*rows)
            model |= {row[0]: row for row in rows}
        elif action == "erase":
            gone = chance.sample(range(8), 2)
            erased = load.erase([(key,) for key in gone], "delete")
            assert erased == len([model.pop(key) for key in gone if key in model])
        elif action == "compact":
            load.upkeep.compact(load.target)
        elif action == "relayout":
            load.change_layout(chance.choice(LAYOUTS))
        else:
            load.reopen()
        assert load.rows() == sorted(model.values(), key=repr), (seed, step, action)
        assert_partitions_are_right(load)


def assert_partitions_are_right(load: IcebergUnit) -> None:
    """Every file of the layout has rows of its own partition only, and each row is found by a filter."""
    wanted = load.world.layout.partitions or ()
    assert table_partitions(load.table) == wanted
    names = [one.name for one in wanted]
    for task in load.table.scan().plan_files():
        assert task.file.spec_id == load.table.spec().spec_id
        place = dict(zip(names, (task.file.partition[n] for n in range(len(names))), strict=True))
        for row in pq.read_table(task.file.file_path.removeprefix("file://")).to_pylist():
            moment = row["at"]
            right = {
                "at_month": moment and month(moment),
                "at_year": moment and moment.year - 1970,
                "at_day": moment and (moment.date() - dt.date(1970, 1, 1)).days,
                "_ingest_endpoint": "shop",
                "text": row["text"],
                "id_trunc_2": None if row["id"] is None else row["id"] // 2 * 2,
            }
            assert {name: place[name] for name in names if name in right} == {
                name: right[name] for name in names if name in right
            }


def test_another_layout_is_refused_until_relayout_and_nothing_is_changed(tmp_path: Path) -> None:
    load = unit(tmp_path)
    load.put_rows((1, 1, at(0), "a"), (2, 1, at(1), "b"), first=True)
    before, where = load.rows(), load.table.metadata_location
    load.lay_out(Layout(partition_by=("day(at)",), cluster_by=("id",)))
    with pytest.raises(TargetChanged, match="partitioned by month") as caught:
        load.sink.open(load.target, SCHEMA, 1)
    assert "ingest-ray relayout shop public.orders" in str(caught.value.hint)
    assert (load.table.metadata_location, load.rows()) == (where, before)
    with pytest.raises(Fenced):
        load.upkeep.relayout(load.target, SCHEMA, 0)
    old = load.table.current_snapshot()
    report = load.upkeep.relayout(load.target, SCHEMA, 2)
    assert (report.files_removed, report.files_added) == (2, 2)
    assert table_partitions(load.table) == load.world.layout.partitions
    assert [field.source_id for field in load.table.sort_order().fields] == [1]
    assert load.table.scan(snapshot_id=old.snapshot_id).to_arrow().num_rows == 2  # of the old spec
    assert load.sink.open(load.target, SCHEMA, 2) == 1
    assert load.upkeep.relayout(load.target, SCHEMA, 2).files_added == 0
    load.epoch = 2
    load.put_rows((2, 2, at(4), "B"))
    assert load.rows() == [before[0], (2, 2, at(4), "B")]
    load.change_layout(BY_MONTH)
    assert len(load.table.metadata.partition_specs) == 2  # its old spec is taken again
    assert load.rows() == [before[0], (2, 2, at(4), "B")]


def test_a_stale_writer_gets_nothing_into_a_table_of_another_layout(tmp_path: Path) -> None:
    load = unit(tmp_path, Layout(partition_by=()))
    load.put_rows((1, 1, at(0), "a"), first=True)
    late = load.prepare(batch((2, 1, at(0), "late")), first=True)
    load.change_layout(BY_MONTH)
    with pytest.raises(Fenced):
        load.sink.commit(load.target, SCHEMA, load.epoch - 1, load.sequence + 1, [late])
    with pytest.raises(StagingLost, match="layout"):
        load.sink.commit(load.target, SCHEMA, load.epoch, load.sequence + 1, [late])
    assert load.rows() == [(1, 1, at(0), "a")]


def test_a_replacement_brings_its_layout_with_it(tmp_path: Path) -> None:
    load = unit(tmp_path, Layout(), WriteMode.REPLACE)
    load.put_rows((1, 1, at(0), "a"))
    for layout in (BY_MONTH, Layout(partition_by=("day(at)",), cluster_by=("text",)), Layout(partition_by=())):
        load.lay_out(layout)
        load.reopen()
        load.put_rows((1, 1, at(0), "a"), (2, 1, at(5), "b"))
        assert_partitions_are_right(load)
        assert load.rows() == [(1, 1, at(0), "a"), (2, 1, at(5), "b")]
    load.commit()
    assert load.rows() == []
    load.schema = SCHEMA.set(3, pa.field("text", pa.bool_()))
    load.reopen()  # no partition is by that column
    load.schema = SCHEMA.set(2, pa.field("at", pa.string()))
    with pytest.raises(SinkRejected, match=r"column 'at' .* partitions by it"):
        load.sink.open(load.target, load.schema, load.epoch)


def test_a_layout_that_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    clash = pa.schema([*SCHEMA, ("AT_month", pa.string()), ("raw", pa.binary())])
    with pytest.raises(SinkRejected, match="'AT_month' has the name of the partition month"):
        unit(tmp_path, schema=clash)
    for entry, said in (
        ("nope", "names column 'nope'"),
        ("month(text)", r"month\(text\) does not take column 'text'"),
        ("raw", "raw does not take column 'raw' of type binary"),
    ):
        with pytest.raises(SinkRejected, match=said):
            unit(tmp_path, Layout(partition_by=(entry,)), schema=clash)
    load = unit(tmp_path)
    load.put_rows((1, 1, at(0), "a"), first=True)
    for name in ("at_month", "_ingest_endpoint"):
        load.schema = pa.schema([*SCHEMA, (name, pa.string())])
        with pytest.raises(SinkRejected, match=f"'{name}' has the name of the partition"):
            load.reopen()


def test_a_column_of_a_partition_is_promoted_and_becomes_no_other_one(tmp_path: Path) -> None:
    narrow = SCHEMA.set(0, pa.field("id", pa.int32()))
    load = unit(tmp_path, Layout(partition_by=("bucket(4, id)", "text")), schema=narrow)
    load.commit(load.prepare(batch((1, 1, None, "a"), (25, 1, None, "b")).cast(narrow)))
    load.schema = SCHEMA
    load.reopen()
    load.put_rows((2**40, 1, None, "c"), (25, 2, None, "d"))
    assert {row[0]: row[1] for row in load.rows()} == {1: 1, 25: 2, 2**40: 1}
    assert load.table.scan(row_filter=f"id = {2**40}").to_arrow().num_rows == 1
    load.schema = SCHEMA.set(0, pa.field("id", pa.decimal128(30, 2)))
    with pytest.raises(SinkRejected, match="partitions by it"):
        load.reopen()


@pytest.mark.parametrize("write", [WriteMode.UPSERT, WriteMode.HISTORY])
def test_a_value_that_the_log_does_not_repeat_keeps_its_partition(tmp_path: Path, write: WriteMode) -> None:
    layout = Layout(partition_by=("month(at)", "endpoint", "truncate(1, text)", "bucket(2, id)"), cluster_by=("id",))
    log = Log(LaidOutIceberg(tmp_path / "lake", layout), write, schema=SCHEMA, version=None)
    log.commit(log.prepare(batch((1, 1, at(0), "apple"), (2, 1, at(1), "beet"), (3, 1, None, "corn")), first=True))
    log.apply(
        ("update", 1, 2, None, "banana", "0010"),
        ("update", 2, 2, at(5), None, "0001"),
        ("delete", 3, None, None, None, None),
        ("insert", 4, 1, at(2), "date", None),
    )
    world: Any = log.world
    found = {
        row["id"]: (row["at"], row["text"], row["_ingest_endpoint"])
        for row in world.read_all(log.target)
        if row.get("_is_current", row["_deleted_at"] is None)
    }
    assert found == {1: (at(0), "banana", "shop"), 2: (at(5), "beet", "shop"), 4: (at(2), "date", "shop")}
    for task in world.table(log.target).scan().plan_files():
        for row in pq.read_table(task.file.file_path.removeprefix("file://")).to_pylist():
            assert task.file.partition[0] == (row["at"] and month(row["at"]))
            assert task.file.partition[2] == row["text"][:1]
    log.apply(("truncate", None, None, None, None, None), ("insert", 9, 1, None, "elder", None))
    rows = [row for row in world.read_all(log.target) if row.get("_is_current", row["_deleted_at"] is None)]
    assert [row["id"] for row in rows] == [9]


def test_small_files_are_compacted_in_order_by_the_run_that_finds_too_many(tmp_path: Path) -> None:
    layout = Layout(partition_by=("month(at)",), cluster_by=("text", "id"), compact_after=4)
    load = unit(tmp_path, layout, WriteMode.APPEND)
    for number in range(4):
        load.put_rows((number, 1, at(0), "yx"[number % 2]), (number, 1, at(1), None))
    load.reopen()
    assert len(load.paths()[month(at(0)),]) == 4
    load.put_rows((9, 1, at(0), "a"))
    before = load.rows()
    load.reopen()
    assert {place: len(paths) for place, paths in load.paths().items()} == {(month(at(0)),): 1, (month(at(1)),): 1}
    assert load.rows() == before
    assert load.sink.open(load.target, SCHEMA, load.epoch) == 5
    (path,) = load.paths()[month(at(0)),]
    assert pq.ParquetFile(path).read(["text", "id"]).to_pylist() == [
        {"text": text, "id": number} for text, number in (("a", 9), ("x", 1), ("x", 3), ("y", 0), ("y", 2))
    ]


def test_more_files_than_a_handle_can_name_stand_in_a_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = unit(tmp_path)
    monkeypatch.setattr(load.sink._slices, "_payload_bytes", 200)
    rows = [(number, 1, at(number), "a") for number in range(5)]
    prepared = load.prepare(batch(*rows), first=True)
    assert prepared.payload["files"] == []
    load.commit(prepared)
    assert load.rows() == rows
    data = Path(load.sink.location(load.target)) / "data"
    assert not list(data.glob("listing-*"))
    load.put_rows((1, 2, at(9), "b"), (2, 2, at(9), "b"))
    load.sink.abort([load.prepare(batch(*rows))])
    assert not list(data.glob("listing-*"))
    assert len(load.rows()) == 5


def test_a_table_that_another_program_partitioned_keeps_its_partitions(tmp_path: Path) -> None:
    load = unit(tmp_path, Layout())
    load.put_rows((1, 1, at(0), "a"), first=True)
    with load.table.update_spec() as update:
        update.add_field("text", IdentityTransform(), "by_text")
    load.reopen()
    load.put_rows((1, 2, at(0), "b"), (2, 1, at(0), None))
    load.put_rows((1, 3, at(0), "c"))
    assert load.rows() == [(1, 3, at(0), "c"), (2, 1, at(0), None)]
    assert sorted(load.paths(), key=repr) == [("c",), (None,)]
    with load.table.update_spec() as update:
        update.add_field("version", VoidTransform(), "nothing")
    with pytest.raises(SinkRejected, match="partitioned by void"):
        load.reopen()


def test_the_order_of_rows_is_in_the_metadata_and_may_change(tmp_path: Path) -> None:
    load = unit(tmp_path, Layout(cluster_by=("id",)), WriteMode.APPEND)
    load.put_rows((3, 1, None, "c"), (1, 1, None, "a"), (2, 1, None, "b"))
    ((path,),) = load.paths().values()
    assert pq.ParquetFile(path).read(["id"]).column("id").to_pylist() == [1, 2, 3]
    for names in (("text", "id"), ()):
        load.lay_out(Layout(cluster_by=names))
        load.reopen()
        columns = [load.table.schema().find_column_name(field.source_id) for field in load.table.sort_order().fields]
        assert columns == list(names)
