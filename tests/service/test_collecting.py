"""What a source cannot describe is named, and the rest is collected; objects with one joined name are two units."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from ingest_ray.registry import strategy_for
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Column, Dataset, Endpoint
from ingest_ray.sdk.types.dataset import DISTINCT_NAME
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.endpoints.found_datasets import sort_found
from ingest_ray.service.runs.execution import run
from ingest_ray.service.units.gate import gate
from tests.service.workspace import Workspace

COLUMN = Column(name="id", source_type="int", arrow="int64")


def execute(workspace: Workspace, script: str) -> None:
    connection = sqlite3.connect(workspace.folder / "shop.db")
    connection.executescript(script)
    connection.close()


@pytest.fixture
def shop(workspace: Workspace) -> Workspace:
    config = {"path": str(workspace.folder / "shop.db")}
    workspace.document["endpoints"] = [{"id": "shop", "template": "jdbc.sqlite", "config": config}]
    execute(
        workspace, "CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE TABLE base (x); CREATE VIEW v AS SELECT x FROM base"
    )
    return workspace


def test_a_view_of_a_dropped_table_is_named_and_the_rest_is_collected(shop: Workspace) -> None:
    execute(shop, "DROP TABLE base")
    shop.apply()
    found = collect(shop.installation, "shop")
    assert found.differences.added == ("t",)
    assert [broken.name for broken in found.undescribed] == ["v"]
    assert "'v' cannot be described" in found.warnings[0]
    assert "no such table" in found.warnings[0]
    assert run(shop.installation, "shop").state == "SUCCEEDED"


def test_a_view_that_broke_later_keeps_its_dataset_and_fails_alone(shop: Workspace) -> None:
    shop.apply()
    collect(shop.installation, "shop")
    execute(shop, "DROP TABLE base")
    found = collect(shop.installation, "shop")
    assert found.differences.gone == ("base",)
    assert [broken.name for broken in found.undescribed] == ["v"]
    report = run(shop.installation, "shop", ["t", "v"])
    assert {unit.unit_id: unit.state.value for unit in report.units} == {"t": "SUCCEEDED", "v": "FAILED"}
    execute(shop, "CREATE TABLE base (x)")
    assert collect(shop.installation, "shop").undescribed == ()
    assert gate(shop.installation, UnitRef("shop", "v")).spec.dataset.column("x") is not None


def test_a_virtual_table_whose_module_is_not_here_is_named(shop: Workspace) -> None:
    execute(
        shop,
        "PRAGMA writable_schema = ON; INSERT INTO sqlite_master VALUES "
        "('table', 'odd', 'odd', 0, 'CREATE VIRTUAL TABLE odd USING nowhere(x)');",
    )
    shop.apply()
    found = collect(shop.installation, "shop")
    assert {"t", "base", "v"} <= set(found.differences.added)
    assert [broken.name for broken in found.undescribed] == ["odd"]


def dotted(schema: str, table: str) -> Dataset:
    from ingest_strategies.jdbc.catalog_rows import name_facts

    return Dataset(
        endpoint_id="e",
        name=f"{schema}.{table}",
        columns=(COLUMN,),
        primary_key=("id",),
        facts=name_facts(schema, table),
    )


def names(found: list[Dataset], known: list[Dataset] | None = None) -> dict[tuple[Any, Any], str]:
    catalog = {dataset.name: dataset for dataset in known or []}
    return {(d.facts["schema"], d.facts["table"]): d.name for d in sort_found("e", found, catalog).datasets}


def test_joined_names_that_collide_are_two_datasets() -> None:
    first, second = dotted("a", "b.c"), dotted("a.b", "c")
    assert names([first, second]) == {("a", "b.c"): "a.b.c", ("a.b", "c"): '"a.b".c'}
    assert DISTINCT_NAME not in dotted("a", "b").facts


def test_a_name_stays_with_the_object_that_had_it_first() -> None:
    """Else a unit would go on, with its watermark, over another table."""
    first, second = dotted("a", "b.c"), dotted("a.b", "c")
    assert names([first, second], known=[second]) == {("a", "b.c"): 'a."b.c"', ("a.b", "c"): "a.b.c"}
    assert names([first], known=[second]) == {("a", "b.c"): 'a."b.c"'}
    both = sort_found("e", [first, second], {}).datasets
    assert names([second], known=list(both)) == {("a.b", "c"): '"a.b".c'}


def test_a_column_type_that_cannot_be_read_leaves_out_its_dataset_only(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = strategy_for("testing.scripted")
    original = type(strategy).collect

    def collected(self: Any, endpoint: Endpoint) -> Iterator[Dataset]:
        odd = Column(name="x", source_type="x", arrow="not-a-type")
        yield Dataset(endpoint_id=endpoint.endpoint_id, name="odd", columns=(odd,))
        yield from original(self, endpoint)

    monkeypatch.setattr(type(strategy), "collect", collected)
    workspace.apply()
    found = collect(workspace.installation, "shop")
    assert [broken.name for broken in found.undescribed] == ["odd"]
    assert found.differences.found == 2


def test_a_rule_for_a_dropped_table_keeps_no_other_unit_from_being_configured(workspace: Workspace) -> None:
    workspace.document["units"].append({"endpoint": "shop", "unit": "numbers-1x1000", "policy": {"max_attempts": 2}})
    workspace.apply()
    collect(workspace.installation, "shop")
    workspace.source["units"] = ["numbers-2x300", "numbers-1x7"]
    workspace.document["units"] = [workspace.document["units"][0]]
    workspace.apply()
    workspace.document["units"].append({"endpoint": "shop", "unit": "numbers-3x1", "sink": "lake"})
    from ingest_ray.catalog import unit_configs
    from ingest_ray.catalog.unit_configs import StoredRule

    with workspace.installation.catalog.begin() as connection:
        rules = unit_configs.rules(connection)
        missing = {"endpoint": "shop", "unit": "numbers-3x1", "sink": "lake"}
        unit_configs.replace_rules(connection, [*rules, StoredRule(document=missing, written_at="ingest.yaml:9")])
    found = collect(workspace.installation, "shop")
    assert "no unit 'numbers-3x1'" in found.warnings[0]
    assert "+ shop:numbers-1x7" in found.configured
