"""A layout that is changed from the command line, and processes that die while they change it."""

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from tests.cli.in_process import InProcessCli
from tests.forks import run_module

CONFIG = """
home: {folder}/home
endpoints:
  - {{id: shop, template: jdbc.sqlite, config: {{path: "{folder}/shop.db"}}}}
sinks:
  - {{id: lake, template: lake.delta, config: {{uri: "{folder}/lake"}}}}
  - {{id: out, template: duckdb, config: {{path: "{folder}/out.duckdb"}}}}
units:
  - endpoint: shop
    unit: orders
    sink: {sink}
    enabled: true
    run_mode: INCREMENTAL
    policy: {{cursor: updated_at, rename: {{customer: buyer}}, layout: {layout}}}
"""
BY_MONTH = "{partition_by: [month(updated_at)], cluster_by: [customer]}"
BY_BUYER = "{partition_by: ['bucket(2, customer)', endpoint]}"


CDM = """
home: {folder}/home
endpoints:
  - {{id: shop, template: jdbc.sqlite, config: {{path: "{folder}/shop.db"}}}}
sinks:
  - {{id: lake, template: {template}, config: {{{root}: "{folder}/lake"}}}}
units:
  - endpoint: shop
    unit: orders
    sink: lake
    sink_endpoint: lake
    mode: cdm
    enabled: true
    run_mode: INCREMENTAL
    policy: {{cursor: updated_at, layout: {layout}}}
    cdm:
      system: acme
      models:
        cdm.work.item: {{cdm_id: "cdm_id('cdm.work.item', id)", summary: customer, source_id: id}}
        cdm.work.comment: {{cdm_id: "cdm_id('cdm.work.comment', id)", body: customer}}
"""


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> InProcessCli:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop, shop:
        shop.execute("create table orders (id integer primary key, customer text, updated_at timestamp)")
        rows = [(n, f"c{n % 5}", f"2026-{n % 6 + 1:02}-01 00:00:00") for n in range(60)]
        shop.executemany("insert into orders values (?, ?, ?)", rows)
    return InProcessCli(tmp_path, capfd)


def configure(cli: InProcessCli, layout: str, sink: str = "lake") -> Any:
    (cli.folder / "ingest.yaml").write_text(CONFIG.format(folder=cli.folder, layout=layout, sink=sink))
    return cli.run("apply")


def table(cli: InProcessCli) -> DeltaTable:
    return DeltaTable(str(cli.folder / "lake" / "shop" / "orders"))


@pytest.mark.slow
def test_a_layout_is_planned_shown_refused_and_changed_by_command(cli: InProcessCli) -> None:
    assert configure(cli, BY_MONTH)[0] == 0
    cli.json("collect", "shop")
    assert (
        "partitioned by month(updated_at); clustered by customer"
        in cli.json("plan", "shop", "orders")["facts"]["layout"]
    )
    assert cli.json("run", "shop")["state"] == "SUCCEEDED"
    assert table(cli).metadata().partition_columns == ["updated_at_month"]
    assert "month(updated_at)" in cli.run("status", "shop", "orders")[1]
    with closing(sqlite3.connect(cli.folder / "shop.db")) as shop, shop:
        shop.execute("update orders set customer = 'other', updated_at = '2026-07-01 00:00:00' where id = 7")
    configure(cli, BY_BUYER)
    run = cli.json("run", "shop", code=1)
    assert run["error"]["code"] == "E_TARGET_CHANGED"
    assert "ingest-ray relayout shop orders" in run["error"]["hint"]
    (changed,) = cli.json("relayout", "shop", "orders")["tables"]
    assert changed["report"]["files_removed"] == 6
    assert table(cli).metadata().partition_columns == ["buyer_bucket_2", "_ingest_endpoint"]
    assert cli.json("run", "shop")["state"] == "SUCCEEDED"
    assert cli.json("verify", "shop", "orders", "--rows")["units"][0]["state"] == "SUCCEEDED"
    assert table(cli).count() == 60
    assert cli.json("relayout", "shop", "orders")["tables"][0]["report"]["files_added"] == 0
    assert cli.run("compact", "shop", "orders")[0] == 0


@pytest.mark.parametrize(
    ("layout", "sink", "said"),
    [
        ("{partition_by: [weeks(updated_at)]}", "lake", "unknown transform 'weeks'"),
        ("{partition_by: [month(nope)]}", "lake", "policy.layout.partition_by: 'month(nope)' names column 'nope'"),
        ("{cluster_by: [nope]}", "lake", "policy.layout.cluster_by: 'nope' names column 'nope'"),
        ("{partition_by: [month(customer)]}", "lake", "month(buyer) does not take column 'buyer' of type string"),
        (BY_MONTH, "out", "sinks of template 'duckdb' have no layouts"),
    ],
)
def test_a_layout_that_does_not_fit_is_a_mistake_that_names_its_field(
    cli: InProcessCli, layout: str, sink: str, said: str
) -> None:
    configure(cli, "{}")
    cli.json("collect", "shop")
    applied = configure(cli, layout, sink=sink)
    planned = cli.run("plan", "shop", "orders")
    assert 2 in (applied[0], planned[0])
    assert said in applied[1] + applied[2] + planned[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("template", "root"), [("lake.iceberg", "warehouse"), pytest.param("lake.delta", "uri", marks=pytest.mark.faults)]
)
def test_the_tables_of_models_get_a_layout_by_command(cli: InProcessCli, template: str, root: str) -> None:
    def configured(layout: str) -> Any:
        text = CDM.format(folder=cli.folder, template=template, root=root, layout=layout)
        (cli.folder / "ingest.yaml").write_text(text)
        return cli.run("apply")

    configured("{}")
    cli.json("collect", "shop")
    applied = configured("{cluster_by: [summary]}")
    said = applied[1] + applied[2] + cli.run("plan", "shop", "orders")[2]
    assert "cluster_by: 'summary' names column 'summary', which model 'cdm.work.comment' does not have" in said
    assert configured("{partition_by: []}")[0] == 0
    assert cli.json("run", "shop")["state"] == "SUCCEEDED"
    with closing(sqlite3.connect(cli.folder / "shop.db")) as shop, shop:
        shop.execute("update orders set customer = 'other', updated_at = '2026-07-01 00:00:00' where id = 7")
    assert configured("{partition_by: ['bucket(2, cdm_id)']}")[0] == 0
    assert cli.json("run", "shop", code=1)["error"]["code"] == "E_TARGET_CHANGED"
    changed = cli.json("relayout", "shop", "orders")["tables"]
    assert [one["report"]["files_added"] for one in changed] == [2, 2]
    assert cli.json("run", "shop")["state"] == "SUCCEEDED"
    assert [one["report"]["files_added"] for one in cli.json("relayout", "shop", "orders")["tables"]] == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "step", ["relayout:before-commit", pytest.param("compact:before-commit", marks=pytest.mark.faults)]
)
def test_a_killed_relayout_leaves_the_old_layout_or_the_new_one(cli: InProcessCli, step: str) -> None:
    configure(cli, BY_MONTH)
    cli.json("collect", "shop")
    cli.json("run", "shop")
    with closing(sqlite3.connect(cli.folder / "shop.db")) as shop, shop:
        shop.execute("update orders set updated_at = '2026-08-01 00:00:00' where id < 20")
    cli.json("run", "shop")
    before = sorted(table(cli).to_pyarrow_table().column("id").to_pylist())
    version = table(cli).version()
    configure(cli, BY_BUYER if step.startswith("relayout") else BY_MONTH)
    command = "relayout" if step.startswith("relayout") else "compact"
    if command == "compact":
        append_again(cli)
        before, version = sorted(table(cli).to_pyarrow_table().column("id").to_pylist()), table(cli).version()
    environment = {**os.environ, "INGEST_FAILPOINT": step}
    killed = run_module("ingest_ray.cli", command, "shop", "orders", env=environment, cwd=cli.folder)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert table(cli).metadata().partition_columns == ["updated_at_month"]
    assert sorted(table(cli).to_pyarrow_table().column("id").to_pylist()) == before
    cli.json(command, "shop", "orders")
    assert table(cli).version() > version
    assert sorted(table(cli).to_pyarrow_table().column("id").to_pylist()) == before
    assert cli.json("run", "shop")["state"] == "SUCCEEDED"
    assert cli.json("verify", "shop", "orders", "--rows")["units"][0]["state"] == "SUCCEEDED"


def append_again(cli: InProcessCli) -> None:
    """Another small file in a partition that has one."""
    with closing(sqlite3.connect(cli.folder / "shop.db")) as shop, shop:
        shop.execute("insert into orders values (1000, 'late', '2026-08-02 00:00:00')")
    cli.json("run", "shop")
