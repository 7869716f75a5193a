"""CDM mode as a run: mapped between staging and sink, exactly once in several tables, killed anywhere, mapped again."""

import shutil
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.recovery import read_sink, return_to_sink
from ingest_ray.engine.steps.unit_layout import unit_key_of
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.kv import open_state
from ingest_ray.quarantine.rejected_rows import list_quarantine, read_rejected_rows
from ingest_ray.run import reconcile_unit
from ingest_ray.run.staging_area import staging_for
from ingest_ray.sdk.types import CdmSettings, DataMode, Endpoint, ModelCounts, RunMode, RunState
from ingest_ray.state.lease import this_process
from ingest_ray.state.writer import StateWriter
from tests.run.installation import ROOTS, Installation
from tests.run.test_killed import killed_at

pytestmark = pytest.mark.slow

ITEM, COMMENT = "cdm.work.item", "cdm.work.comment"
MAPPING = {
    ITEM: {"cdm_id": f"cdm_id('{ITEM}', id)", "summary": "payload", "source_id": "id"},
    COMMENT: {"cdm_id": f"cdm_id('{COMMENT}', id || ':1')", "body": "payload", "item_cdm_id": f"cdm_id('{ITEM}', id)"},
}
BAD = {**MAPPING[COMMENT], "body": "case when id = 7 then error('no body') else payload end"}


@dataclass
class CdmInstallation(Installation):
    unit: str = "numbers-2x600"
    template: str = "sql"
    url: str = ""
    models: dict[str, dict[str, str]] = field(default_factory=lambda: dict(MAPPING))
    version: str = "1"

    def order(self, **task: str) -> RunOrder:
        order = super().order(**task)
        cdm = CdmSettings(system="acme", models=self.models, version=self.version)
        config = order.spec.config.model_copy(
            update={"mode": DataMode.CDM, "sink_endpoint_id": "lake", "sink_id": "lake", "cdm": cdm}
        )
        where: dict[str, Any] = {"url": self.url or f"sqlite:///{self.folder}/cdm.db"} if self.template == "sql" else {}
        where |= {ROOTS[self.template]: str(self.folder / "lake")} if self.template in ROOTS else {}
        return order.model_copy(
            update={
                "spec": order.spec.model_copy(update={"config": config}),
                "sink": Endpoint(endpoint_id="lake", template=self.template, config=where),
            }
        )

    def rows(self, model_id: str) -> list[dict[str, Any]]:
        table = model_id.replace(".", "_")
        if self.template == "lake.delta":
            place = self.folder / "lake" / "cdm" / table
            return list(DeltaTable(str(place)).to_pyarrow_table().to_pylist()) if place.exists() else []
        if self.template == "lake.iceberg":
            return iceberg_rows(self.folder / "lake", table)
        if not (self.folder / "cdm.db").exists():
            return []
        connection = sqlite3.connect(self.folder / "cdm.db")
        connection.row_factory = sqlite3.Row
        try:
            found = connection.execute("select 1 from sqlite_master where name = ?", [table]).fetchone()
            return [dict(row) for row in connection.execute(f"select * from {table}")] if found else []
        finally:
            connection.close()

    def living(self, model_id: str) -> Counter[int]:
        """How often each source row is in a table."""
        return Counter(int(row["_source_key"]) for row in self.rows(model_id) if row["_deleted_at"] is None)


def iceberg_rows(lake: Path, table: str) -> list[dict[str, Any]]:
    if not (lake / "catalog.db").exists():
        return []
    catalog = SqlCatalog("ingest", uri=f"sqlite:///{lake}/catalog.db")
    try:
        return list(catalog.load_table(("cdm", table)).scan().to_arrow().to_pylist())
    except NoSuchTableError:
        return []


def test_one_unit_feeds_two_models_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    there = CdmInstallation(tmp_path)
    first = there.run()
    assert first.state is RunState.SUCCEEDED, first.error
    assert (first.rows.read, first.rows.staged, first.rows.committed, first.rows.quarantined) == (1200, 1200, 1200, 0)
    assert first.models == {name: ModelCounts(mapped=1200, committed=1200) for name in MAPPING}
    assert there.living(ITEM) == there.living(COMMENT) == there.expected_ids()
    before = there.rows(ITEM)
    row = next(row for row in before if row["_source_key"] == "7")
    assert (row["cdm_id"], row["source_system"], row["_mapper_version"]) == (
        "cdm:work:item:acme:7",
        "acme",
        "expressions/1",
    )
    assert there.run().rows.read == 0
    assert there.rows(ITEM) == before
    there.source = {"now": 2000, "changed": {"7": 1500}}
    third = there.run()
    assert third.models == {name: ModelCounts(mapped=1, committed=1) for name in MAPPING}
    assert next(row for row in there.rows(ITEM) if row["_source_key"] == "7")["summary"].startswith("7@1500")
    assert there.living(ITEM) == there.expected_ids()


@pytest.mark.parametrize(
    ("template", "step"),
    [
        ("sql", "map:after-map"),
        ("sql", "map:after-stage"),
        ("sql", "sink:between-models"),
        ("sql", "state:before-fold"),
        ("sql", "state:after-fold"),
        ("lake.delta", "sink:after-written-down"),
        ("lake.delta", "sink:between-models"),
        ("lake.delta", "sink:after-commit"),
        pytest.param("lake.iceberg", "sink:after-written-down", marks=pytest.mark.faults),
        ("lake.iceberg", "sink:between-models"),
    ],
)
def test_c31_killed_at_any_step_then_resumed_has_every_row_once_in_every_table(
    tmp_path: Path, template: str, step: str
) -> None:
    there = CdmInstallation(tmp_path, template=template)
    killed_at(there, f"{step}@3" if step.startswith("map") else step)
    committed = max(len(there.rows(ITEM)), len(there.rows(COMMENT)))
    there.forget_reads()
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert there.living(ITEM) == there.living(COMMENT) == there.expected_ids()
    assert summary.rows.read == 1200 - committed
    assert there.run().rows.read == 0


def test_one_bad_record_is_quarantined_whole_with_its_payload_and_can_be_replayed(tmp_path: Path) -> None:
    there = CdmInstallation(tmp_path, models={ITEM: MAPPING[ITEM], COMMENT: BAD})
    first = there.run()
    assert first.state is RunState.SUCCEEDED
    assert (first.rows.read, first.rows.committed, first.rows.quarantined) == (1200, 1199, 1)
    assert there.living(ITEM) == there.living(COMMENT) == there.expected_ids() - Counter([7])
    (entry,) = list_quarantine(there.settings.quarantine_uri)
    (rejected,) = read_rejected_rows(entry.uri)
    assert (rejected.raw["id"], "no body" in rejected.reason) == (7, True)
    assert there.run(there.order(task="replay")).rows.quarantined == 1
    there.models, there.version = dict(MAPPING), "2"
    replayed = there.run(there.order(task="replay"))
    assert (replayed.rows.read, replayed.rows.committed, replayed.rows.quarantined) == (1, 1, 0)
    assert there.living(ITEM) == there.living(COMMENT) == there.expected_ids()
    assert list_quarantine(there.settings.quarantine_uri) == []


def test_more_rejected_records_than_the_policy_allows_end_the_run(tmp_path: Path) -> None:
    there = CdmInstallation(tmp_path, policy={"cursor": "at", "max_quarantined_rows": 3})
    there.models = {ITEM: {**MAPPING[ITEM], "summary": "error('never')"}}
    summary = there.run()
    assert summary.error is not None
    assert summary.error.code == "E_QUARANTINE_LIMIT"
    assert there.rows(ITEM) == []


@pytest.mark.parametrize("mode", [RunMode.INCREMENTAL, RunMode.FULL])
def test_what_staging_keeps_is_mapped_again_without_asking_the_source(tmp_path: Path, mode: RunMode) -> None:
    policy = {"cursor": "at", "keep_staging": "7d"} if mode is RunMode.INCREMENTAL else {"keep_staging": "7d"}
    there = CdmInstallation(tmp_path, unit="numbers-1x700", policy=policy, mode=mode)
    there.run()
    there.source = {"now": 2000, "changed": {"7": 1500}}
    there.run()
    if mode is RunMode.INCREMENTAL:
        assert len(there.rows(ITEM)) == 700
        there.source |= {"deleted": [9]}
        assert reconcile_unit(there.order()).erased == 2
    there.forget_reads()
    there.models = {ITEM: {**MAPPING[ITEM], "summary": "'again ' || payload"}, COMMENT: MAPPING[COMMENT]}
    there.version = "2"
    again = there.run(there.order(task="remap"))
    assert again.state is RunState.SUCCEEDED, again.error
    assert there.reads() == []
    gone = Counter([9]) if mode is RunMode.INCREMENTAL else Counter[int]()
    assert there.living(ITEM) == there.expected_ids() - gone
    rows = {row["_source_key"]: row for row in there.rows(ITEM) if row["_deleted_at"] is None}
    assert rows["7"]["summary"].startswith("again 7@1500")
    assert {row["_mapper_version"] for row in rows.values()} == {"expressions/2"}
    assert again.watermarks.get("0") == (2000 if mode is RunMode.INCREMENTAL else None)


def test_nothing_is_kept_that_the_policy_does_not_keep(tmp_path: Path) -> None:
    there = CdmInstallation(tmp_path, unit="numbers-1x300")
    there.run()
    assert not any((tmp_path / "staging").iterdir())
    refused = there.run(there.order(task="remap"))
    assert refused.error is not None
    assert (refused.error.code, "keeps nothing" in refused.error.message) == ("E_BAD_INPUT", True)
    there.policy = {"cursor": "at", "keep_staging": 0}
    assert there.run().state is RunState.SUCCEEDED


@pytest.mark.parametrize("template", ["sql", "lake.iceberg"])
def test_a_replacement_shows_the_new_rows_of_the_unit_and_no_old_one(tmp_path: Path, template: str) -> None:
    there = CdmInstallation(tmp_path, template=template, unit="numbers-1x300", mode=RunMode.FULL, policy={})
    there.run()
    there.source = {"deleted": [1, 2, 3]}
    assert there.run().rows.committed == 297
    assert there.living(ITEM) == there.living(COMMENT) == there.expected_ids() - Counter([1, 2, 3])


def drop_table(there: CdmInstallation, model_id: str) -> None:
    table = model_id.replace(".", "_")
    if there.template == "lake.delta":
        shutil.rmtree(there.folder / "lake" / "cdm" / table)
        return
    if there.template == "lake.iceberg":
        SqlCatalog("ingest", uri=f"sqlite:///{there.folder}/lake/catalog.db").drop_table(("cdm", table))
        return
    connection = sqlite3.connect(there.folder / "cdm.db")
    connection.execute(f"drop table {table}")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("template", "is_unchanged"),
    [
        ("sql", True),
        ("sql", False),
        ("lake.delta", True),
        ("lake.delta", False),
        pytest.param("lake.iceberg", False, marks=pytest.mark.faults),
    ],
)
def test_one_table_of_a_unit_that_was_deleted_beside_living_ones_is_noticed(
    tmp_path: Path, template: str, *, is_unchanged: bool
) -> None:
    there = CdmInstallation(tmp_path, template=template)
    there.run()
    drop_table(there, COMMENT)
    there.source = {} if is_unchanged else {"now": 2000, "changed": {"7": 1500}}
    for _ in range(2):
        refused = there.run()
        assert refused.state is RunState.FAILED
        assert refused.error is not None
        assert refused.error.code == "E_SINK_BEHIND_STATE"
        assert f"has no commit in the table of {COMMENT}" in refused.error.message
    order = there.order()
    state = StateWriter.begin(open_state(there.settings), unit_key_of(order), "person", this_process())
    unit_writer = writer_for(order, staging_for(order))
    progress = read_sink(state, unit_writer)
    assert progress is not None
    assert return_to_sink(state, unit_writer, progress).sequence == 0
    state.end()
    assert there.run().state is RunState.SUCCEEDED
    assert there.run().state is RunState.SUCCEEDED, "what changed since the first load began"
    assert there.living(ITEM) == there.living(COMMENT) == there.expected_ids()
    assert there.run().rows.read == 0


@pytest.mark.parametrize("template", ["sql", "lake.delta", "lake.iceberg"])
def test_a_model_that_a_unit_gets_later_is_no_deleted_table(tmp_path: Path, template: str) -> None:
    there = CdmInstallation(tmp_path, template=template, models={ITEM: MAPPING[ITEM]})
    there.run()
    for now, models in ((2000, MAPPING), (3000, {ITEM: MAPPING[ITEM]}), (4000, MAPPING)):
        there.models = dict(models)
        there.source = {"now": now, "changed": {"7": now - 500}}
        summary = there.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
    assert there.living(COMMENT)[7] == 1
