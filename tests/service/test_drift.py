"""A dataset that changed between runs, from the source to the rows in the lake."""

import json
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from ingest_ray.quarantine.rejected_rows import list_quarantine, read_rejected_rows
from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import plan, run
from ingest_ray.service.units.dataset_history import accept_dataset, dataset_history
from ingest_ray.service.units.reset import reset
from tests.service.workspace import Workspace

pytestmark = pytest.mark.slow

UNIT = "numbers-1x1000"


@pytest.fixture
def ready(workspace: Workspace) -> Workspace:
    """Loaded once, with a column `extra` of int32; the next run finds rows 5 and 500 changed."""
    workspace.source["column_types"] = {"extra": "int32"}
    policy(workspace, "evolve")
    collect(workspace.installation, "shop")
    assert run(workspace.installation, "shop", [UNIT]).state is RunState.SUCCEEDED
    workspace.calls()
    workspace.source |= {"now": 2000, "changed": {"5": 1001, "500": 1002}}
    return workspace


def policy(workspace: Workspace, name: str, **more: Any) -> None:
    rule = {"run_mode": "INCREMENTAL", "policy": {"cursor": "at", "on_schema_change": name, **more}}
    workspace.document["units"][0] |= rule
    workspace.apply()


def again(workspace: Workspace, **types: str | None) -> RunSummary:
    workspace.source["column_types"] = {"extra": "int32", **types}
    workspace.apply()
    return run(workspace.installation, "shop", [UNIT]).units[0]


def lake(workspace: Workspace) -> pa.Table:
    return pa.table(DeltaTable(workspace.folder / "lake" / "shop" / UNIT).to_pyarrow_table())


def row(workspace: Workspace, key: int) -> dict[str, Any]:
    (found,) = [one for one in lake(workspace).to_pylist() if one["id"] == key]
    return dict(found)


def versions(workspace: Workspace) -> list[tuple[str, ...]]:
    return [version.changes for version in dataset_history(workspace.installation, "shop", UNIT).versions]


def refused(summary: RunSummary) -> str:
    assert summary.state is RunState.FAILED
    assert summary.error is not None
    assert summary.error.code == "E_SOURCE_CHANGED"
    assert summary.error.hint
    assert summary.slices.planned == 0
    return summary.error.message


def test_an_unchanged_dataset_costs_one_question_and_writes_nothing(ready: Workspace) -> None:
    with ready.installation.catalog.read() as connection:
        before = connection.exec_driver_sql("SELECT * FROM ingest_unit_datasets").fetchall()
    summary = again(ready)
    assert (summary.rows.committed, summary.schema_changes) == (2, ())
    assert [json.loads(call)[1].split()[0] for call in ready.calls()] == ["describe", "probe", "read"]
    with ready.installation.catalog.read() as connection:
        assert connection.exec_driver_sql("SELECT * FROM ingest_unit_datasets").fetchall() == before
    assert versions(ready) == [()]


def test_c68_an_added_column_is_read_from_then_on_and_the_catalog_tells(ready: Workspace) -> None:
    summary = again(ready, note="int64")
    assert (summary.state, summary.schema_changes) == (RunState.SUCCEEDED, ("+ note int64",))
    assert (row(ready, 5)["note"], row(ready, 6)["note"]) == (5, None)
    assert versions(ready) == [(), ("+ note int64",)]
    assert again(ready, note="int64").schema_changes == ()
    assert len(versions(ready)) == 2


def test_c68_a_dropped_column_stays_in_the_lake_with_its_last_values(ready: Workspace) -> None:
    assert row(ready, 5)["payload"] is not None
    ready.source["changed"] = {"5": 1001}
    assert again(ready, payload=None).schema_changes == ("- payload",)
    assert "payload" in lake(ready).column_names
    assert row(ready, 6)["payload"] is not None
    assert (row(ready, 5)["at"], row(ready, 5)["payload"][:3]) == (1001, "5@0")


def test_c68_a_renamed_column_is_a_drop_and_an_addition(ready: Workspace) -> None:
    assert again(ready, extra=None, more="int32").schema_changes == ("+ more int32", "- extra")
    assert (row(ready, 5)["more"], row(ready, 6)["more"], row(ready, 6)["extra"]) == (5, None, 6)


def test_c68_a_widened_column_is_widened_in_the_lake(ready: Workspace) -> None:
    assert again(ready, extra="int64").schema_changes == ("~ extra: int32 -> int64",)
    assert lake(ready).schema.field("extra").type == pa.int64()
    assert row(ready, 500)["extra"] == 500


def test_c68_a_narrowed_column_keeps_its_wider_type(ready: Workspace) -> None:
    again(ready, extra="int64")
    ready.source |= {"now": 3000, "changed": {"7": 2001}}
    summary = again(ready, extra="int16")
    assert (summary.state, summary.rows.committed) == (RunState.SUCCEEDED, 1)
    assert lake(ready).schema.field("extra").type == pa.int64()
    assert row(ready, 7)["extra"] == 7
    ready.source |= {"now": 4000, "changed": {"8": 3001}}
    assert again(ready, extra="int16").schema_changes == ()
    assert versions(ready) == [(), ("~ extra: int32 -> int64",), ("~ extra: int64 -> int16",)]


def test_c68_another_type_is_refused_by_name_with_the_way_on(ready: Workspace) -> None:
    before = lake(ready)
    summary = again(ready, extra="string")
    assert "~ extra: int32 -> string" in refused(summary)
    assert summary.error is not None
    assert f"ingest-ray reset shop {UNIT}" in str(summary.error.hint)
    assert lake(ready) == before
    assert versions(ready) == [()]
    with pytest.raises(SourceChanged, match="extra"):
        plan(ready.installation, UnitRef("shop", UNIT))
    policy(ready, "evolve", columns=["id", "at", "payload", "segment"])
    assert run(ready.installation, "shop", [UNIT]).rows.committed == 2


def test_a_replacement_follows_another_type(workspace: Workspace) -> None:
    workspace.source["column_types"] = {"extra": "int32"}
    workspace.apply()
    collect(workspace.installation, "shop")
    run(workspace.installation, "shop", [UNIT])
    assert again(workspace, extra="string").state is RunState.SUCCEEDED
    assert lake(workspace).schema.field("extra").type == pa.string()
    assert row(workspace, 5)["extra"] == "5"


@pytest.mark.parametrize("change", [{"note": "int64"}, {"payload": None}, {"extra": "int64"}, {"extra": "int16"}])
def test_c69_freeze_refuses_any_change_until_a_person_accepts_it(
    ready: Workspace, change: dict[str, str | None]
) -> None:
    policy(ready, "freeze")
    assert next(iter(change)) in refused(again(ready, **change))
    assert collect(ready.installation, "shop").differences.changed
    refused(run(ready.installation, "shop", [UNIT]).units[0])  # collecting alone is no consent
    assert len(accept_dataset(ready.installation, UnitRef("shop", UNIT)).changes) == 1
    summary = run(ready.installation, "shop", [UNIT]).units[0]
    assert (summary.state, summary.rows.committed) == (RunState.SUCCEEDED, 2)


def test_c69_discard_column_goes_on_with_the_old_set_and_refuses_a_drop(ready: Workspace) -> None:
    policy(ready, "discard_column")
    assert again(ready, note="int64").rows.committed == 2
    assert "note" not in lake(ready).column_names
    collect(ready.installation, "shop")
    assert run(ready.installation, "shop", [UNIT]).state is RunState.SUCCEEDED
    assert "note" not in lake(ready).column_names
    assert "- payload" in refused(again(ready, payload=None))


@pytest.mark.parametrize("now", ["int64", "string"])
def test_c69_quarantine_row_keeps_the_types_and_sets_rows_that_do_not_fit_aside(workspace: Workspace, now: str) -> None:
    workspace.source |= {"units": ["numbers-1x100"], "column_types": {"extra": "int8"}}
    policy(workspace, "quarantine_row")
    collect(workspace.installation, "shop")
    run(workspace.installation, "shop", ["numbers-1x100"])
    workspace.source |= {"now": 2000, "changed": {"5": 1001, "50": 1002}, "extra_offset": 100}
    workspace.source["column_types"] = {"extra": now, "note": "int64"}
    workspace.apply()
    (summary,) = run(workspace.installation, "shop", ["numbers-1x100"]).units
    assert (summary.rows.read, summary.rows.committed, summary.rows.quarantined) == (2, 1, 1)
    table = pa.table(DeltaTable(workspace.folder / "lake" / "shop" / "numbers-1x100").to_pyarrow_table())
    assert table.schema.field("extra").type == pa.int8()
    assert "note" not in table.column_names
    assert {one["id"]: one["extra"] for one in table.to_pylist()}[5] == 105
    (entry,) = list_quarantine(workspace.installation.settings.quarantine_uri)
    (rejected,) = read_rejected_rows(entry.uri)
    assert (rejected.column, rejected.raw["id"], str(rejected.raw["extra"])) == ("extra", 50, "150")


@pytest.mark.parametrize("name", ["evolve", "freeze", "discard_column", "quarantine_row"])
@pytest.mark.parametrize(("column", "role"), [("id", "key"), ("at", "cursor")])
def test_a_key_or_cursor_that_vanished_is_always_refused(ready: Workspace, name: str, column: str, role: str) -> None:
    policy(ready, name)
    ready.source["key"] = [] if column == "id" else ["id"]
    assert f"column '{column}', the {role} of unit" in refused(again(ready, **{column: None}))
    collect(ready.installation, "shop")  # now the catalog does not have it any more, either
    with pytest.raises(SourceChanged, match=f"'{column}'"):
        plan(ready.installation, UnitRef("shop", UNIT))


def test_a_primary_key_that_became_another_one_is_refused_until_somebody_says_which(ready: Workspace) -> None:
    ready.source["key"] = ["id", "segment"]
    assert "is (id, segment) now, and was (id)" in refused(again(ready))
    collect(ready.installation, "shop")
    refused(run(ready.installation, "shop", [UNIT]).units[0])
    policy(ready, "evolve", primary_key=["id"])
    assert run(ready.installation, "shop", [UNIT]).rows.committed == 2


def test_a_dataset_that_is_gone_is_a_changed_source(ready: Workspace) -> None:
    ready.source["units"] = ["numbers-2x300"]
    assert "is gone at the source" in refused(again(ready))


def test_d41_one_unit_that_changed_does_not_keep_the_others_from_running(workspace: Workspace) -> None:
    workspace.apply()
    collect(workspace.installation, "shop")
    workspace.source["units"] = ["numbers-2x300"]
    workspace.apply()
    report = run(workspace.installation, "shop")
    assert [summary.state for summary in report.units] == [RunState.FAILED, RunState.SUCCEEDED]


def test_before_its_first_run_a_unit_follows_what_changed_since_the_collection(workspace: Workspace) -> None:
    workspace.source["column_types"] = {"extra": "int32", "more": "int32"}
    policy(workspace, "evolve")
    collect(workspace.installation, "shop")
    summary = again(workspace, extra="string")  # nothing is in the lake yet that it would not fit
    assert summary.schema_changes == ("- more", "~ extra: int32 -> string")
    assert (summary.rows.committed, row(workspace, 5)["extra"]) == (1000, "5")


def test_a_new_column_that_the_sink_cannot_take_is_a_changed_source(ready: Workspace) -> None:
    ready.source["fidelities"] = {"shape": "refused"}
    assert "'shape'" in refused(again(ready, shape="binary"))
    ready.source["fidelities"] = {"shape": "lossy"}
    assert "would lose something" in refused(again(ready, shape="binary"))


def test_after_a_reset_the_unit_begins_with_what_is_there(ready: Workspace) -> None:
    policy(ready, "freeze")
    refused(again(ready, note="int64"))
    collect(ready.installation, "shop")
    reset(ready.installation, UnitRef("shop", UNIT))
    assert run(ready.installation, "shop", [UNIT]).rows.committed == 1000
