"""The behaviour suite of CDM sinks: several tables under one number, shared by units, the newer source row wins for all of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import pyarrow as pa
import pytest

from ingest_ray.cdm.models import KEY, SOURCE_KEY, VERSION, model_of
from ingest_ray.sdk.contracts import ModelProgressReader, ModelSink, ModelTable, SinkProgress
from ingest_ray.sdk.errors import Fenced
from ingest_ray.sdk.types import Layout, ModelCounts, Prepared, Target, WriteMode
from ingest_ray.sinks.provenance import DELETED_AT
from ingest_ray.testing.suites.sink_harness import piece

ITEM, LINK = "cdm.doc.item", "cdm.doc.link"
AT = datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)


class ModelWorld(Protocol):
    """An empty target, and a reader of it that is independent of the sink."""

    def open(self) -> ModelSink:
        """Opens a sink as another process would; its tables may exist already."""
        ...

    def read_all(self, model_id: str) -> list[dict[str, Any]]: ...


@dataclass
class Pages:
    """A unit of pages; each page is mapped to an item and its links. `put` takes (page, version, names of its links)."""

    world: ModelWorld
    unit: str = "wiki.page"
    write: WriteMode = WriteMode.UPSERT
    deletes: str = "tombstone"
    epoch: int = 1
    sequence: int = 0
    slices: int = 0
    run: str = "run-1"
    layout: Layout | None = None
    sink: ModelSink = field(init=False)

    def __post_init__(self) -> None:
        self.sink = self.world.open()
        for model_id in (ITEM, LINK):
            self.sink.provision(ModelTable(self.target(model_id), model_of(model_id).stored))
        self.sequence = self.sink.open(self.tables, self.epoch)

    def target(self, model_id: str) -> Target:
        return Target(
            sink_id="sink",
            endpoint_id="wiki",
            unit_id=self.unit,
            app_id=f"wiki/{self.unit}/cdm",
            write=self.write,
            key=(KEY,),
            version_column=VERSION,
            run_id=self.run,
            model=model_id,
            deletes=self.deletes,
            layout=self.layout,
        )

    @property
    def tables(self) -> list[ModelTable]:
        return [ModelTable(self.target(name), model_of(name).stored) for name in (ITEM, LINK)]

    def prepare(self, *pages: tuple[str, int, Sequence[str]]) -> list[list[Prepared]]:
        self.slices += 1
        return [
            [self.sink.prepare(table, piece(self.slices), [rows(self.unit, str(table.target.model), pages)])]
            for table in self.tables
        ]

    def commit(self, groups: Sequence[Sequence[Prepared]]) -> Sequence[ModelCounts]:
        self.sequence += 1
        return self.sink.commit(self.tables, self.epoch, self.sequence, groups)

    def put(self, *pages: tuple[str, int, Sequence[str]]) -> Sequence[ModelCounts]:
        return self.commit(self.prepare(*pages))

    def found(self, model_id: str) -> list[str]:
        """The ids of rows that are not erased, without their common prefix, and the version of each."""
        living = [row for row in self.world.read_all(model_id) if row[DELETED_AT] is None]
        return sorted(f"{row[KEY].split(':')[-1]}@{row[VERSION]}" for row in living)


def rows(unit: str, model_id: str, pages: Sequence[tuple[str, int, Sequence[str]]]) -> pa.RecordBatch:
    """A page without links has a marker row; a page of a version below 0 is mapped to no row at all."""
    made: list[dict[str, Any]] = []
    for page, version, links in pages:
        source = {
            "_source_endpoint": "wiki",
            "_source_unit": unit,
            SOURCE_KEY: page,
            VERSION: abs(version),
            "_mapper_version": "pages/1",
        }
        ids = [page] if model_id == ITEM else [f"{page}-{link}" for link in links]
        ids = ids if version >= 0 else []
        for name in ids:
            about = {"title": f"{page} v{version}", "tags": ["a", "ü"], "created_at": AT} if model_id == ITEM else {}
            about |= {"properties": json.dumps({"name": name, "n": version})}
            made.append({KEY: f"cdm:doc:x:acme:{name}", "source_system": "acme", **about, **source})
        if not ids:
            made.append(source)
    schema = model_of(model_id).stored
    columns = []
    for one in schema:
        values = [row.get(one.name) for row in made]
        is_json = isinstance(one.type, pa.BaseExtensionType)
        storage = pa.array(values, one.type.storage_type if is_json else one.type)
        columns.append(pa.ExtensionArray.from_storage(one.type, storage) if is_json else storage)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


class ModelSuite:
    def test_the_progress_is_read_without_a_change(self, world: ModelWorld) -> None:
        pages = Pages(world, epoch=3)
        sink = world.open()
        if not isinstance(sink, ModelProgressReader):
            pytest.skip("the sink has no such capability")
        assert sink.read_progress(pages.tables) == SinkProgress(3, 0)
        pages.put(("p", 1, "x"))
        assert sink.read_progress(pages.tables) == SinkProgress(3, 1)

    def test_all_models_of_a_commit_are_there_and_repeating_it_changes_nothing(self, world: ModelWorld) -> None:
        pages = Pages(world)
        groups = pages.prepare(("p", 1, ["a", "b"]), ("q", 1, []))
        first = pages.commit(groups)
        assert [(one.mapped, one.committed, one.deduplicated, one.erased) for one in first] == [(2, 2, 0, 0)] * 2
        again = world.open().commit(pages.tables, 1, 1, groups)
        assert [(one.mapped, one.committed) for one in again] == [(2, 2), (2, 2)]
        assert pages.found(ITEM) == ["p@1", "q@1"]
        assert pages.found(LINK) == ["p-a@1", "p-b@1"]
        assert world.open().open(pages.tables, 1) == 1

    def test_values_arrive_as_they_are(self, world: ModelWorld) -> None:
        pages = Pages(world)
        pages.put(("p", 3, []))
        (row,) = world.read_all(ITEM)
        assert (row["title"], row["source_system"], row["_mapper_version"]) == ("p v3", "acme", "pages/1")
        assert (row["_source_key"], row["_ingest_run_id"], row["mime_type"]) == ("p", "run-1", None)
        assert parsed(row["tags"]) == ["a", "ü"]
        assert parsed(row["properties"]) == {"name": "p", "n": 3}
        assert moment(row["created_at"]) == AT

    def test_what_a_source_row_does_not_make_any_more_is_erased_in_the_same_commit(self, world: ModelWorld) -> None:
        pages = Pages(world)
        pages.put(("p", 1, ["a", "b"]), ("q", 1, ["c"]))
        counts = pages.put(("p", 2, ["b"]), ("q", -2, []))
        assert pages.found(ITEM) == ["p@2"]
        assert pages.found(LINK) == ["p-b@2"]
        assert [one.erased for one in counts] == [1, 2]
        pages.put(("p", 3, ["a"]))
        assert pages.found(LINK) == ["p-a@3"]

    def test_rows_are_taken_out_where_the_policy_says_so(self, world: ModelWorld) -> None:
        pages = Pages(world, deletes="delete")
        pages.put(("p", 1, ["a", "b"]))
        pages.put(("p", 2, ["b"]))
        assert len(world.read_all(LINK)) == 1

    def test_the_newer_source_row_wins_with_all_that_it_makes(self, world: ModelWorld) -> None:
        pages = Pages(world)
        pages.put(("p", 5, []))
        late = pages.put(("p", 4, ["old"]), ("q", 1, ["x"]))
        assert pages.found(ITEM) == ["p@5", "q@1"]
        assert pages.found(LINK) == ["q-x@1"]
        assert [(one.committed, one.deduplicated) for one in late] == [(1, 1), (1, 1)]
        pages.put(("p", 6, ["a"]), ("p", 7, ["b"]))
        assert pages.found(LINK) == ["p-b@7", "q-x@1"]

    def test_an_older_epoch_can_neither_open_nor_commit(self, world: ModelWorld) -> None:
        old = Pages(world, epoch=3)
        old.put(("p", 1, ["a"]))
        waiting = old.prepare(("zombie", 1, ["z"]))
        new = Pages(world, epoch=4)
        assert new.sequence == 1
        with pytest.raises(Fenced):
            old.commit(waiting)
        with pytest.raises(Fenced):
            old.sink.open(old.tables, 3)
        assert new.found(ITEM) == ["p@1"]
        new.put(("q", 1, []))
        assert new.found(ITEM) == ["p@1", "q@1"]

    def test_units_share_tables_and_a_replacement_takes_only_the_rows_of_its_own(self, world: ModelWorld) -> None:
        pages, files = Pages(world), Pages(world, unit="wiki.file", write=WriteMode.REPLACE)
        pages.put(("p", 1, ["a"]))
        files.put(("f", 1, ["x"]), ("g", 1, []))
        counts = files.put(("g", 1, ["y"]), ("h", 1, []))
        assert [one.committed for one in counts] == [2, 1]
        assert files.found(ITEM) == ["g@1", "h@1", "p@1"]
        assert files.found(LINK) == ["g-y@1", "p-a@1"]
        assert pages.sink.open(pages.tables, 1) == 1
        assert files.sink.open(files.tables, 1) == 2

    def test_source_rows_are_listed_and_erased_by_their_keys(self, world: ModelWorld) -> None:
        pages, others = Pages(world), Pages(world, unit="wiki.file")
        pages.put(("p", 1, ["a", "b"]), ("q", 1, []))
        others.put(("f", 1, []))
        listed = {key for batch in pages.sink.keys(pages.tables) for key in batch.column(0).to_pylist()}
        assert listed == {"p", "q"}
        pages.sequence += 1
        keys = [pa.RecordBatch.from_pydict({SOURCE_KEY: pa.array(["p", "f", "nobody"], pa.string())})]
        counts = pages.sink.erase(pages.tables, 1, pages.sequence, keys, "tombstone")
        assert [one.erased for one in counts] == [1, 2]
        assert pages.found(ITEM) == ["f@1", "q@1"]
        assert pages.found(LINK) == []
        assert pages.sink.open(pages.tables, 1) == pages.sequence

    def test_a_crash_between_two_tables_is_settled_by_the_next_open(
        self, world: ModelWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pages = Pages(world)
        pages.put(("p", 1, ["a"]))
        groups = pages.prepare(("p", 2, ["b"]), ("q", 1, []))
        crash_at(monkeypatch, "sink:between-models")
        with pytest.raises(Crash):
            pages.commit(groups)
        monkeypatch.undo()
        after = Pages(world, epoch=2)
        if after.sequence == 1:  # one transaction over all tables: nothing happened
            assert (after.found(ITEM), after.found(LINK)) == (["p@1"], ["p-a@1"])
            after.put(("p", 2, ["b"]), ("q", 1, []))
        assert (after.sequence, after.found(ITEM), after.found(LINK)) == (2, ["p@2", "q@1"], ["p-b@2"])
        after.put(("q", 2, ["c"]))
        assert after.found(LINK) == ["p-b@2", "q-c@2"]

    def test_preparing_twice_and_aborting_harm_nothing(self, world: ModelWorld) -> None:
        pages = Pages(world)
        one, two = pages.prepare(("p", 1, ["a"])), pages.prepare(("p", 1, ["a"]))
        assert [group[0].row_hash for group in one] == [group[0].row_hash for group in two]
        pages.commit(two)
        pages.sink.abort(one)
        assert pages.found(ITEM) == ["p@1"]

    def test_nothing_to_commit_still_has_its_number(self, world: ModelWorld) -> None:
        pages = Pages(world)
        pages.put()
        assert world.open().open(pages.tables, 1) == 1


class Crash(Exception):
    pass


def crash_at(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Raises `Crash` at a step of a sink in this process, the first time that it is reached."""

    def reached(name: str) -> None:
        if name == step:
            raise Crash(name)

    for module in ("databases.model_sink", "delta.model_sink", "iceberg.models.sink"):
        monkeypatch.setattr(f"ingest_ray.sinks.{module}.reached", reached)


def parsed(value: Any) -> Any:
    """Parses the JSON text of databases without such a type."""
    return json.loads(value) if isinstance(value, str) else value


def moment(value: Any) -> datetime:
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
