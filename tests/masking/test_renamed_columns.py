"""Columns with other names in the target: every sink, every task, and what is refused."""

import sqlite3
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable

from ingest_ray.run import reconcile_unit
from ingest_ray.run.comparison.verify import VerifyOptions, verify_unit
from ingest_ray.sdk.errors import ConfigError, TargetChanged
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import RunReport, plan, run
from ingest_ray.service.units.gate import gate
from ingest_ray.testing.servers.mariadb import MariaDatabase
from ingest_ray.testing.servers.postgres import Postgres
from tests.service.workspace import ALL, Workspace

pytestmark = pytest.mark.slow

ORDERS = UnitRef("shop", "orders")
RENAME = {"id": "order_id", "at": "changed_at", "Total Price": "total", "email": "buyer"}
NAMES = ["order_id", "changed_at", "total", "buyer", "id2"]


@pytest.fixture
def shop(workspace: Workspace) -> Workspace:
    source(
        workspace,
        """CREATE TABLE orders (id INTEGER PRIMARY KEY, at INTEGER, "Total Price" INTEGER, email TEXT, id2 INTEGER);
        INSERT INTO orders VALUES (1, 1, 10, 'a', 5), (2, 2, 20, 'b', 6), (3, 3, 30, 'c', 7);""",
    )
    path = str(workspace.folder / "shop.db")
    workspace.document["endpoints"] = [{"id": "shop", "template": "jdbc.sqlite", "config": {"path": path}}]
    workspace.document["sinks"] += [
        {"id": "out", "template": "sql", "config": {"url": "sqlite:///out.db"}},
        {"id": "duck", "template": "duckdb", "config": {"path": str(workspace.folder / "out.duckdb")}},
    ]
    return workspace


def source(shop: Workspace, statements: str) -> None:
    connection = sqlite3.connect(shop.folder / "shop.db")
    connection.executescript(statements)
    connection.close()


def rule(shop: Workspace, sink: str = "lake", rename: Any = RENAME, **fields: Any) -> Any:
    policy = {"cursor": "at", "rename": rename, "lookback": 1, **fields.pop("policy", {})}
    shop.document["units"] = [{**ALL, "sink": sink, "run_mode": "INCREMENTAL", "policy": policy, **fields}]
    shop.apply()
    return collect(shop.installation, "shop")


def load(shop: Workspace) -> RunReport:
    report = run(shop.installation, "shop", ["orders"])
    assert report.state == "SUCCEEDED", [unit.error for unit in report.units]
    return report


def stored(shop: Workspace, sink: str) -> list[tuple[Any, ...]]:
    wanted = ", ".join(NAMES)
    if sink == "lake":
        table = DeltaTable(shop.folder / "lake" / "shop" / "orders").to_pyarrow_table()
        assert table.column_names[:5] == NAMES
        living = table.filter(table.column("_deleted_at").is_null())
        return sorted(tuple(row.values()) for row in living.select(NAMES).to_pylist())
    query = f"SELECT {wanted} FROM orders WHERE _deleted_at IS NULL ORDER BY 1"
    if sink == "out":
        with sqlite3.connect(shop.folder / "out.db") as connection:
            return list(connection.execute(query))
    with duckdb.connect(str(shop.folder / "out.duckdb")) as found:
        schema = found.execute(
            "SELECT table_schema FROM information_schema.tables WHERE table_name = 'orders'"
        ).fetchall()
        return found.execute(query.replace("FROM orders", f"FROM {schema[0][0]}.orders")).fetchall()


@pytest.fixture
def mart(shop: Workspace, mariadb: MariaDatabase) -> Workspace:
    shop.document["sinks"].append({"id": "mart", "template": "sql", "config": {"url": mariadb.url}})
    return shop


def test_rows_land_are_updated_repaired_and_deleted_under_their_new_names_in_mariadb(
    mart: Workspace, mariadb: MariaDatabase
) -> None:
    """Names of 64 characters, in upper case and of other alphabets, too; a name may move to another column."""
    long, mixed = "Ж" * 64, "Total `Price`"
    rule(mart, "mart", {"id": "ID", "at": long, "Total Price": mixed, "email": "id2", "id2": "email"}, table="orders")

    def landed() -> list[tuple[Any, ...]]:
        rows = mariadb.run("SELECT * FROM orders WHERE _deleted_at IS NULL ORDER BY `ID`")
        return [tuple(row[name] for name in ("ID", long, mixed, "id2", "email")) for row in rows]

    load(mart)
    assert landed() == [(1, 1, 10, "a", 5), (2, 2, 20, "b", 6), (3, 3, 30, "c", 7)]
    source(mart, "UPDATE orders SET at = 9, email = 'B' WHERE id = 2")
    load(mart)
    source(mart, "UPDATE orders SET email = 'x' WHERE id = 1; DELETE FROM orders WHERE id = 3")
    options = VerifyOptions(with_values=True, repair=True, allow_deletes=True)
    report = verify_unit(gate(mart.installation, ORDERS), options)
    assert (report.different, report.surplus, report.remaining) == (1, 1, 0)
    assert landed() == [(1, 1, 10, "x", 5), (2, 9, 20, "B", 6)]
    source(mart, "DELETE FROM orders WHERE id = 1")
    assert reconcile_unit(gate(mart.installation, ORDERS), allow_all=True).erased == 1
    assert [row[0] for row in landed()] == [2]


@pytest.mark.parametrize("sink", ["lake", "out", "duck"])
def test_rows_land_are_updated_compared_repaired_and_deleted_under_their_new_names(shop: Workspace, sink: str) -> None:
    rule(shop, sink, table="orders" if sink != "lake" else "shop/orders")
    load(shop)
    assert stored(shop, sink) == [(1, 1, 10, "a", 5), (2, 2, 20, "b", 6), (3, 3, 30, "c", 7)]
    source(shop, "UPDATE orders SET at = 9, email = 'B' WHERE id = 2; UPDATE orders SET at = 8 WHERE id = 1")
    load(shop)
    load(shop)
    assert stored(shop, sink)[1] == (2, 9, 20, "B", 6)
    report = verify_unit(gate(shop.installation, ORDERS), VerifyOptions(with_values=True))
    assert (report.state, report.compared, report.not_compared) == ("SUCCEEDED", "rows", ())
    source(shop, "UPDATE orders SET email = 'x' WHERE id = 1; DELETE FROM orders WHERE id = 3")
    report = verify_unit(gate(shop.installation, ORDERS), VerifyOptions(with_values=True))
    assert (report.different_keys, report.surplus_keys) == (({"id": 1},), ({"id": 3},))
    report = verify_unit(
        gate(shop.installation, ORDERS), VerifyOptions(with_values=True, repair=True, allow_deletes=True)
    )
    assert report.remaining == 0, report
    assert stored(shop, sink) == [(1, 8, 10, "x", 5), (2, 9, 20, "B", 6)]
    source(shop, "DELETE FROM orders WHERE id = 1")
    assert reconcile_unit(gate(shop.installation, ORDERS), allow_all=True).erased == 1
    assert [row[0] for row in stored(shop, sink)] == [2]


def test_a_masked_column_is_named_by_the_source_in_both(shop: Workspace) -> None:
    rule(shop, policy={"mask": {"email": "redact"}})
    load(shop)
    assert [row[3] for row in stored(shop, "lake")] == ["***"] * 3
    lines = {line.column: line.note for line in plan(shop.installation, ORDERS).certificate}
    assert lines["email"] == "masked: redact; lands as buyer"
    assert lines["id"] == "lands as order_id"
    assert lines["id2"] is None


def test_a_new_column_at_the_source_lands_beside_renamed_ones(shop: Workspace) -> None:
    rule(shop)
    load(shop)
    source(shop, "ALTER TABLE orders ADD COLUMN note TEXT; UPDATE orders SET note = 'n', at = 20 WHERE id = 1")
    load(shop)
    table = DeltaTable(shop.folder / "lake" / "shop" / "orders").to_pyarrow_table()
    assert table.column("note").to_pylist().count("n") == 1
    source(shop, "ALTER TABLE orders ADD COLUMN buyer TEXT")
    report = run(shop.installation, "shop", ["orders"])
    assert "one name: 'buyer'" in str(report.units[0].error)


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        ({"idd": "x"}, "names column 'idd'"),
        ({"id": "id2"}, "'id' and 'id2' one name: 'id2'"),
        ({"id": "x", "id2": "x"}, "one name: 'x'"),
        ({"id": "_ingest_at"}, "cannot be named"),
        ({"id": ""}, "cannot be named"),
    ],
)
def test_collisions_are_told_by_collect_and_plan(shop: Workspace, rename: Any, message: str) -> None:
    found = rule(shop, rename=rename)
    assert message in found.unfit[0].message
    with pytest.raises(ConfigError, match="rename"):
        plan(shop.installation, ORDERS)


def test_two_columns_may_swap_their_names(shop: Workspace) -> None:
    rule(shop, rename={"id": "at", "at": "id"})
    load(shop)
    table = DeltaTable(shop.folder / "lake" / "shop" / "orders").to_pyarrow_table()
    assert table.column_names[:2] == ["at", "id"]


def test_other_names_for_a_loaded_unit_are_refused(shop: Workspace) -> None:
    rule(shop)
    load(shop)
    assert [unit.code for unit in rule_again(shop)] == ["E_TARGET_CHANGED"]
    with pytest.raises(TargetChanged, match="order_id"):
        gate(shop.installation, ORDERS)


def rule_again(shop: Workspace) -> Any:
    shop.document["units"][0]["policy"]["rename"] = {}
    return shop.apply().unfit


@pytest.mark.services
def test_postgres_as_a_sink(shop: Workspace, pg: Postgres) -> None:
    shop.document["sinks"].append({"id": "mart", "template": "sql", "config": {"url": pg.url}})
    rule(shop, "mart", table="orders")
    load(shop)
    source(shop, "UPDATE orders SET at = 9, email = 'B' WHERE id = 2")
    load(shop)
    assert [list(row) for row in pg.run("SELECT order_id, changed_at, total, buyer FROM orders ORDER BY 1")] == [
        [1, 1, 10, "a"],
        [2, 9, 20, "B"],
        [3, 3, 30, "c"],
    ]
    report = verify_unit(gate(shop.installation, ORDERS), VerifyOptions(with_values=True))
    assert (report.state, report.compared) == ("SUCCEEDED", "rows")
