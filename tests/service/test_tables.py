"""Where rows land is the person's choice, and a loaded unit's table changes only with its checkpoint."""

import sqlite3
from typing import Any

import pytest

from ingest_ray.sdk.errors import ConfigError, TargetChanged
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import plan, run
from ingest_ray.service.units.gate import gate
from ingest_ray.service.units.reset import reset
from tests.service.workspace import ALL, Workspace

UNIT = UnitRef("shop", "orders")


@pytest.fixture
def shop(workspace: Workspace) -> Workspace:
    file = workspace.folder / "shop.db"
    connection = sqlite3.connect(file)
    connection.executescript(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, at INTEGER); INSERT INTO orders VALUES (1, 1);"
    )
    connection.executescript(
        "CREATE TABLE lines (id INTEGER PRIMARY KEY, at INTEGER); INSERT INTO lines VALUES (1, 1);"
    )
    connection.close()
    workspace.document["endpoints"] = [{"id": "shop", "template": "jdbc.sqlite", "config": {"path": str(file)}}]
    workspace.document["sinks"].append({"id": "out", "template": "sql", "config": {"url": "sqlite:///out.db"}})
    return workspace


def rule(workspace: Workspace, **fields: Any) -> Any:
    workspace.document["units"] = [{**ALL, **fields}]
    workspace.apply()
    return collect(workspace.installation, "shop")


def names(workspace: Workspace) -> list[str]:
    connection = sqlite3.connect(workspace.folder / "out.db")
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'"
    )
    found = sorted(row[0] for row in rows)
    connection.close()
    return found


def test_a_template_names_the_tables_of_a_database_and_the_folders_of_a_lake(shop: Workspace) -> None:
    rule(shop, table="{endpoint}_{table}", sink="out")
    run(shop.installation, "shop")
    assert names(shop) == ["shop_lines", "shop_orders"]
    rule(shop, table="raw/{table}/v1")
    report = run(shop.installation, "shop")
    assert report.state == "SUCCEEDED"
    assert shop.rows("orders/v1", endpoint="raw") == 1


def test_another_name_for_a_loaded_unit_is_refused_until_it_is_reset(shop: Workspace) -> None:
    rule(shop, sink="out")
    run(shop.installation, "shop")
    rule(shop, sink="out", table="sales_{table}")
    for use in (gate, plan):
        with pytest.raises(TargetChanged, match="its sink's own name") as caught:
            use(shop.installation, UNIT)
    assert caught.value.code == "E_TARGET_CHANGED"
    assert names(shop) == ["lines", "orders"]
    reset(shop.installation, UNIT)
    assert run(shop.installation, "shop", ["orders"]).rows.committed == 1
    assert names(shop) == ["lines", "orders", "sales_orders"]
    rule(shop, sink="out")
    with pytest.raises(TargetChanged, match="'sales_orders'"):
        run(shop.installation, "shop", ["orders"])
    assert run(shop.installation, "shop", ["lines"]).state == "SUCCEEDED"


def test_the_run_itself_refuses_a_table_that_was_changed_after_its_gate(shop: Workspace) -> None:
    from ingest_ray.run import launch

    rule(shop, sink="out", table="one_{table}")
    order = gate(shop.installation, UNIT)
    rule(shop, sink="out", table="two_{table}")
    run(shop.installation, "shop", ["orders"])
    (summary,) = launch([order], lambda _: None, lambda: False)
    assert summary.error is not None
    assert summary.error.code == "E_TARGET_CHANGED"
    assert names(shop) == ["two_orders"]


def test_units_with_one_name_and_tables_inside_of_others_are_refused(shop: Workspace) -> None:
    found = rule(shop, table="all")
    assert [unit.unit_id for unit in found.unfit] == ["lines", "orders"]
    with pytest.raises(ConfigError, match="both write to"):
        plan(shop.installation, UNIT)
    shop.document["units"] = [{**ALL, "table": "shop"}, {**ALL, "unit": "lines", "table": "shop/lines"}]
    shop.apply()
    with pytest.raises(ConfigError, match="a folder of it"):
        plan(shop.installation, UNIT)


@pytest.mark.parametrize("template", ["{tabel}", "{table", "a//b", "../{table}", "", "}"])
def test_a_template_that_is_wrong_is_a_fault_of_the_file(shop: Workspace, template: str) -> None:
    shop.document["units"] = [{**ALL, "table": template}]
    with pytest.raises(ConfigError, match="table"):
        shop.apply()


def test_a_placeholder_without_a_value_keeps_the_unit_from_being_configured(shop: Workspace) -> None:
    found = rule(shop, table="{schema}.{table}")
    assert "there is no schema" in found.warnings[0]


def test_apply_says_that_the_table_of_a_loaded_unit_would_change(shop: Workspace) -> None:
    rule(shop, sink="out")
    run(shop.installation, "shop", ["orders"])
    shop.document["units"] = [{**ALL, "sink": "out", "table": "new_{table}"}]
    assert [(unit.unit_id, unit.code) for unit in shop.apply(dry_run=True).unfit] == [("orders", "E_TARGET_CHANGED")]
    assert [unit.unit_id for unit in shop.apply().unfit] == ["orders"]
    assert run(shop.installation, "shop", ["lines"]).state == "SUCCEEDED"


def execute(workspace: Workspace, script: str) -> None:
    connection = sqlite3.connect(workspace.folder / "shop.db")
    connection.executescript(script)
    connection.close()


def columns(workspace: Workspace, unit: str) -> list[str]:
    from deltalake import DeltaTable

    names = DeltaTable(workspace.folder / "lake" / "shop" / unit).to_pyarrow_table().column_names
    return [name for name in names if not name.startswith("_")]


def test_excluded_columns_are_never_read_nor_followed(shop: Workspace) -> None:
    execute(
        shop,
        "ALTER TABLE orders ADD COLUMN secret TEXT DEFAULT 'plain-secret'; ALTER TABLE orders ADD COLUMN geo GEOMETRY",
    )
    rule(shop, policy={"exclude_columns": ["secret", "later", "geo"]})
    assert run(shop.installation, "shop").state == "SUCCEEDED"
    assert (columns(shop, "orders"), columns(shop, "lines")) == (["id", "at"], ["id", "at"])
    execute(shop, "ALTER TABLE orders ADD COLUMN later TEXT; ALTER TABLE orders ADD COLUMN fine TEXT")
    report = run(shop.installation, "shop", ["orders"])
    assert report.units[0].schema_changes == ("+ fine TEXT",)
    assert run(shop.installation, "shop", ["orders"]).units[0].schema_changes == ()
    assert columns(shop, "orders") == ["id", "at", "fine"]
    assert [line.column for line in plan(shop.installation, UNIT).certificate] == ["id", "at", "fine"]
    for file in (shop.folder / "lake").rglob("*.parquet"):
        assert b"plain-secret" not in file.read_bytes()


def test_a_column_that_is_excluded_later_is_no_change_of_the_source(shop: Workspace) -> None:
    rule(shop, policy={"on_schema_change": "freeze"})
    run(shop.installation, "shop")
    rule(shop, policy={"on_schema_change": "freeze", "exclude_columns": ["at"]})
    report = run(shop.installation, "shop")
    assert (report.state, [unit.schema_changes for unit in report.units]) == ("SUCCEEDED", [(), ()])


@pytest.mark.parametrize("policy", [{"exclude_columns": ["id"]}, {"exclude_columns": ["at"], "columns": ["id", "at"]}])
def test_keys_and_columns_that_are_chosen_cannot_be_excluded(shop: Workspace, policy: dict[str, Any]) -> None:
    found = rule(shop, policy=policy)
    assert {unit.unit_id for unit in found.unfit} == {"lines", "orders"}
    assert "policy.exclude_columns leaves out" in found.unfit[0].message


def test_the_cursor_cannot_be_excluded(shop: Workspace) -> None:
    found = rule(shop, run_mode="INCREMENTAL", policy={"cursor": "at", "exclude_columns": ["at"]})
    assert "its cursor" in found.unfit[0].message
