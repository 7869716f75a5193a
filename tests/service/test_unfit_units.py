"""A unit that cannot run fails by itself: it is named beforehand, it has no record, and the other units run."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.catalog import run_records
from ingest_ray.sdk.errors import ConfigError, IngestError, ModeUnsupported
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunMode
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import plan, run
from ingest_ray.service.units.gate import gate
from ingest_ray.service.units.policies.checked_listing import list_checked_units
from ingest_ray.service.units.reset import reset
from tests.service.workspace import Workspace

TABLES = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, updated_at INTEGER NOT NULL);
INSERT INTO orders VALUES (1, 10), (2, 20);
CREATE TABLE films (id INTEGER PRIMARY KEY, last_update INTEGER NOT NULL);
INSERT INTO films VALUES (1, 10);
CREATE TABLE colours (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO colours VALUES (1, 'red'), (2, 'green'), (3, 'blue');
"""


@pytest.fixture
def shop(workspace: Workspace) -> Workspace:
    """A source of three tables, of which one has the rule's cursor."""
    file = workspace.folder / "shop.db"
    execute(file, TABLES)
    workspace.document["endpoints"] = [{"id": "shop", "template": "jdbc.sqlite", "config": {"path": str(file)}}]
    rule(workspace, cursor="updated_at")
    return workspace


def execute(file: Path, script: str) -> None:
    connection = sqlite3.connect(file)
    connection.executescript(script)
    connection.close()


def rule(workspace: Workspace, **policy: Any) -> None:
    every = {"endpoint": "shop", "unit": "*", "sink": "lake", "enabled": True, "run_mode": "INCREMENTAL"}
    workspace.document["units"] = [{**every, "policy": policy}]


def states(report: Any) -> dict[str, str]:
    return {unit.unit_id: unit.state.value for unit in report.units}


def test_tables_without_the_rules_cursor_are_named_beforehand_and_the_others_run(shop: Workspace) -> None:
    shop.apply()
    found = collect(shop.installation, "shop")
    assert {unit.unit_id: unit.code for unit in found.unfit} == {"colours": "E_BAD_INPUT", "films": "E_BAD_INPUT"}
    assert "policy.cursor names column 'updated_at'" in found.unfit[0].message
    assert shop.apply().unfit == shop.apply(dry_run=True).unfit == found.unfit
    listed = list_checked_units(shop.installation, "shop")
    assert [unit.unit_id for unit in listed.units if unit.fault] == ["colours", "films"]

    report = run(shop.installation, "shop")
    assert report.state == "FAILED"
    assert states(report) == {"orders": "SUCCEEDED", "colours": "FAILED", "films": "FAILED"}
    assert report.rows.committed == 2
    failed = next(unit for unit in report.units if unit.unit_id == "films")
    assert failed.error is not None
    assert "updated_at" in failed.error.message
    with shop.installation.catalog.read() as connection:
        assert run_records.recent(connection, UnitRef("shop", "films")) == []


def test_where_no_unit_can_run_one_error_names_all(shop: Workspace) -> None:
    rule(shop, cursor="changed")
    shop.apply()
    collect(shop.installation, "shop")
    with pytest.raises(ConfigError) as caught:
        run(shop.installation, "shop")
    assert [name for name in ("colours", "films", "orders") if f"shop:{name}'" in caught.value.message] == [
        "colours",
        "films",
        "orders",
    ]


def test_of_several_cursors_each_table_takes_the_first_that_it_has(shop: Workspace) -> None:
    rule(shop, cursor=["updated_at", "last_update"])
    shop.apply()
    assert [unit.unit_id for unit in collect(shop.installation, "shop").unfit] == ["colours"]
    assert states(run(shop.installation, "shop")) == {"orders": "SUCCEEDED", "films": "SUCCEEDED", "colours": "FAILED"}
    chosen = {name: gate(shop.installation, UnitRef("shop", name)).spec.policy.cursor for name in ("orders", "films")}
    assert chosen == {"orders": "updated_at", "films": "last_update"}
    execute(shop.folder / "shop.db", "INSERT INTO films VALUES (2, 20)")
    assert run(shop.installation, "shop", ["films"]).state == "SUCCEEDED"
    assert shop.rows("films") == 2


def test_the_cursor_of_the_checkpoint_stays_the_choice_where_a_better_one_appears(shop: Workspace) -> None:
    rule(shop, cursor=["updated_at", "last_update"])
    shop.apply()
    collect(shop.installation, "shop")
    run(shop.installation, "shop", ["films"])
    execute(shop.folder / "shop.db", "ALTER TABLE films ADD COLUMN updated_at INTEGER")
    collect(shop.installation, "shop")
    assert gate(shop.installation, UnitRef("shop", "films")).spec.policy.cursor == "last_update"
    execute(shop.folder / "shop.db", "INSERT INTO films VALUES (2, 20, NULL)")
    assert run(shop.installation, "shop", ["films"]).state == "SUCCEEDED"
    assert shop.rows("films") == 2


def test_a_table_without_any_cursor_is_a_full_refresh_where_the_rule_says_so(shop: Workspace) -> None:
    rule(shop, cursor=["updated_at", "last_update"], fallback="full", write="append")
    shop.apply()
    assert collect(shop.installation, "shop").unfit == ()
    assert set(states(run(shop.installation, "shop")).values()) == {"SUCCEEDED"}
    spec = gate(shop.installation, UnitRef("shop", "colours")).spec
    assert (spec.config.run_mode, spec.policy.cursor, spec.write_mode) == (RunMode.FULL, None, "replace")
    planned = plan(shop.installation, UnitRef("shop", "colours"))
    assert planned.facts["chosen"] == "FULL, because the dataset does not have updated_at, last_update"
    run(shop.installation, "shop")
    assert shop.rows("colours") == 3  # appended again, it would have six


def test_a_column_that_cannot_be_a_cursor_is_not_chosen(shop: Workspace) -> None:
    execute(shop.folder / "shop.db", "CREATE TABLE odd (id INTEGER PRIMARY KEY, updated_at BLOB, last_update INTEGER)")
    rule(shop, cursor=["updated_at", "last_update"])
    shop.apply()
    collect(shop.installation, "shop")
    assert gate(shop.installation, UnitRef("shop", "odd")).spec.policy.cursor == "last_update"


def test_a_later_rule_takes_the_place_of_candidates_and_the_other_way_round(shop: Workspace) -> None:
    rule(shop, cursor=["updated_at", "last_update"])
    shop.document["units"].append({"endpoint": "shop", "unit": "films", "policy": {"cursor": "id"}})
    shop.document["units"].append({"endpoint": "shop", "unit": "orders", "policy": {"cursor": "id"}})
    shop.document["units"].append({"endpoint": "shop", "unit": "orders", "policy": {"cursor": ["x", "updated_at"]}})
    shop.apply()
    collect(shop.installation, "shop")
    chosen = {name: gate(shop.installation, UnitRef("shop", name)).spec.policy.cursor for name in ("orders", "films")}
    assert chosen == {"orders": "updated_at", "films": "id"}


def test_two_units_of_one_table_are_refused_by_themselves(shop: Workspace) -> None:
    execute(shop.folder / "shop.db", 'CREATE TABLE "a-b" (id INTEGER PRIMARY KEY); CREATE TABLE a_b (id INTEGER);')
    shop.document["sinks"] = [{"id": "lake", "template": "sql", "config": {"url": "sqlite:///out.db"}}]
    shop.document["units"] = [{"endpoint": "shop", "unit": "*", "sink": "lake", "enabled": True}]
    shop.apply()
    found = collect(shop.installation, "shop")
    assert [unit.unit_id for unit in found.unfit] == ["a-b", "a_b"]
    assert states(run(shop.installation, "shop")) == {
        **dict.fromkeys(("colours", "films", "orders"), "SUCCEEDED"),
        **dict.fromkeys(("a-b", "a_b"), "FAILED"),
    }


def test_a_unit_that_was_loaded_goes_on_when_another_wants_its_table(shop: Workspace) -> None:
    execute(shop.folder / "shop.db", "CREATE TABLE a_b (id INTEGER PRIMARY KEY); INSERT INTO a_b VALUES (1);")
    shop.document["sinks"] = [{"id": "lake", "template": "sql", "config": {"url": "sqlite:///out.db"}}]
    shop.document["units"] = [{"endpoint": "shop", "unit": "*", "sink": "lake", "enabled": True}]
    shop.apply()
    collect(shop.installation, "shop")
    run(shop.installation, "shop")
    execute(shop.folder / "shop.db", 'CREATE TABLE "a-b" (id INTEGER PRIMARY KEY)')
    assert [unit.unit_id for unit in collect(shop.installation, "shop").unfit] == ["a-b"]
    assert states(run(shop.installation, "shop", ["a-b", "a_b"])) == {"a_b": "SUCCEEDED", "a-b": "FAILED"}


def test_a_table_of_which_nothing_can_be_read_fails_by_itself(shop: Workspace) -> None:
    source = shop.document["endpoints"][0]
    shop.document["units"] = [{"endpoint": "shop", "unit": "*", "sink": "lake", "enabled": True}]
    shop.apply()
    collect(shop.installation, "shop")
    from ingest_ray.catalog import dataset_versions
    from ingest_ray.sdk.types import Column, Dataset, Fidelity

    shape = Column(name="shape", source_type="geometry", arrow="string", fidelity=Fidelity.REFUSED)
    with shop.installation.catalog.begin() as connection:
        for name, columns in (("none", ()), ("shapes", (shape,))):
            facts = {"table": name}
            dataset_versions.observe(
                connection, Dataset(endpoint_id=source["id"], name=name, columns=columns, facts=facts)
            )
    unfit = shop.apply().unfit
    assert {unit.unit_id: unit.code for unit in unfit} == dict.fromkeys(("none", "shapes"), ModeUnsupported.code)
    assert sorted(states(run(shop.installation, "shop")).values()) == ["FAILED", "FAILED", *["SUCCEEDED"] * 3]


def test_a_unit_that_cannot_run_can_be_reset(shop: Workspace) -> None:
    shop.apply()
    collect(shop.installation, "shop")
    from ingest_ray.service.units.reset import append_warning

    assert append_warning(shop.installation, UnitRef("shop", "films")) is None
    assert reset(shop.installation, UnitRef("shop", "films")).segments == 0


def test_a_named_unit_that_does_not_exist_is_a_mistake_of_the_call(shop: Workspace) -> None:
    shop.apply()
    collect(shop.installation, "shop")
    with pytest.raises(IngestError, match="no unit 'missing'"):
        run(shop.installation, "shop", ["orders", "missing"])
