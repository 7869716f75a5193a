"""The layout of an Iceberg table that is changed from the command line, and processes that die while they change it."""

import os
import signal
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from tests.cli.in_process import InProcessCli
from tests.forks import run_module
from tests.sinks.layout.test_relayout_killed import BY_BUYER, BY_MONTH, CONFIG, cli

__all__ = ["cli"]

LAKE = 'template: lake.delta, config: {{uri: "{folder}/lake"}}'
ICEBERG = CONFIG.replace(LAKE, 'template: lake.iceberg, config: {{warehouse: "{folder}/lake"}}')


def configure(cli: InProcessCli, layout: str) -> None:
    assert ICEBERG != CONFIG
    (cli.folder / "ingest.yaml").write_text(ICEBERG.format(folder=cli.folder, layout=layout, sink="lake"))
    assert cli.run("apply")[0] == 0


def table(cli: InProcessCli) -> Table:
    catalog = SqlCatalog("ingest", uri=f"sqlite:///{cli.folder}/lake/catalog.db")
    try:
        return catalog.load_table("shop.orders")
    finally:
        catalog.close()


def spec(cli: InProcessCli) -> list[str]:
    return [field.name for field in table(cli).spec().fields]


def ids(cli: InProcessCli) -> list[Any]:
    return sorted(table(cli).scan().to_arrow().column("id").to_pylist())


def change(cli: InProcessCli, statement: str) -> None:
    with closing(sqlite3.connect(cli.folder / "shop.db")) as shop, shop:
        shop.execute(statement)


@pytest.mark.slow
def test_a_layout_of_an_iceberg_table_is_planned_refused_and_changed_by_command(cli: InProcessCli) -> None:
    configure(cli, BY_MONTH)
    cli.json("collect", "shop")
    assert cli.json("run", "shop")["state"] == "SUCCEEDED"
    assert spec(cli) == ["updated_at_month"]
    change(cli, "update orders set customer = 'other', updated_at = '2026-07-01 00:00:00' where id = 7")
    configure(cli, BY_BUYER)
    run = cli.json("run", "shop", code=1)
    assert run["error"]["code"] == "E_TARGET_CHANGED"
    assert "ingest-ray relayout shop orders" in run["error"]["hint"]
    (changed,) = cli.json("relayout", "shop", "orders")["tables"]
    assert changed["report"]["files_removed"] == 6
    assert spec(cli) == ["buyer_bucket_2", "_ingest_endpoint"]
    assert cli.json("run", "shop")["state"] == "SUCCEEDED"
    assert cli.json("verify", "shop", "orders", "--rows")["units"][0]["state"] == "SUCCEEDED"
    assert len(ids(cli)) == 60
    assert cli.json("relayout", "shop", "orders")["tables"][0]["report"]["files_added"] == 0


@pytest.mark.faults
@pytest.mark.parametrize("step", ["relayout:before-commit", "sink:before-catalog", "compact:before-commit"])
def test_a_killed_change_of_files_leaves_the_old_ones_or_the_new_ones(cli: InProcessCli, step: str) -> None:
    configure(cli, BY_MONTH)
    cli.json("collect", "shop")
    cli.json("run", "shop")
    change(cli, "update orders set updated_at = '2026-08-01 00:00:00' where id < 20")
    cli.json("run", "shop")
    change(cli, "insert into orders values (1000, 'late', '2026-08-02 00:00:00')")
    cli.json("run", "shop")
    command = "compact" if step.startswith("compact") else "relayout"
    configure(cli, BY_MONTH if command == "compact" else BY_BUYER)
    before, snapshot = ids(cli), table(cli).metadata.current_snapshot_id
    environment = {**os.environ, "INGEST_FAILPOINT": step}
    killed = run_module("ingest_ray.cli", command, "shop", "orders", env=environment, cwd=cli.folder)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert spec(cli) == ["updated_at_month"]
    assert ids(cli) == before
    cli.json(command, "shop", "orders")
    assert table(cli).metadata.current_snapshot_id != snapshot
    assert spec(cli) == (["updated_at_month"] if command == "compact" else ["buyer_bucket_2", "_ingest_endpoint"])
    assert ids(cli) == before
    assert cli.json("run", "shop")["state"] == "SUCCEEDED"
    assert cli.json("verify", "shop", "orders", "--rows")["units"][0]["state"] == "SUCCEEDED"
