"""The examples for orchestrators run with the real libraries where those are installed; a skip says which is not."""

import asyncio
import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

import ingest_ray
from ingest_ray.service.access.roles import Role
from ingest_ray.service.access.tokens import create_token

FILE = """
endpoints: [{id: shop, template: jdbc.sqlite, config: {path: shop.db}}]
sinks: [{id: out, template: sql, config: {url: "sqlite:///out.db"}}]
units: [{endpoint: shop, unit: "*", sink: out, enabled: true, run_mode: FULL}]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ingest_ray.Project]:
    monkeypatch.delenv("INGEST_HOME", raising=False)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop, shop:
        shop.executescript("create table orders(id integer primary key); insert into orders values (1), (2)")
    (tmp_path / "ingest.yaml").write_text(FILE)
    with ingest_ray.open(tmp_path / "ingest.yaml") as opened:
        opened.apply()
        opened.collect("shop")
        yield opened


def test_dbt_gets_the_tables_with_their_freshness(project: ingest_ray.Project, tmp_path: Path) -> None:
    from examples.orchestrators.dbt_sources import sources

    assert project.run("shop").state == "SUCCEEDED"
    (source,) = yaml.safe_load(sources(project, "shop", "main"))["sources"]
    with closing(sqlite3.connect(tmp_path / "out.db")) as out:  # the names and the column are those of the sink
        for table in source["tables"]:
            assert out.execute(f"select count({source['loaded_at_field']}) from {table['name']}").fetchone() == (2,)


@pytest.mark.filterwarnings("default")
def test_dagster_materializes_and_checks(project: ingest_ray.Project) -> None:
    dagster = pytest.importorskip("dagster", reason="dagster is not installed: the example was not run")
    from examples.orchestrators.dagster_assets import definitions

    made = definitions(project, "shop")
    done = dagster.materialize([*made.assets, *made.asset_checks])
    assert done.success
    (check,) = done.get_asset_check_evaluations()
    assert check.passed


PARTITIONED = """
endpoints: [{id: shop, template: jdbc.sqlite, config: {path: shop.db}}]
sinks: [{id: out, template: sql, config: {url: "sqlite:///out.db"}}]
units:
  - {endpoint: shop, unit: days, sink: out, enabled: true, run_mode: INCREMENTAL, policy: {cursor: at, lookback: 0}}
  - {endpoint: shop, unit: numbers, sink: out, enabled: true, run_mode: INCREMENTAL, policy: {cursor: n, lookback: 0}}
"""


@pytest.fixture
def partitioned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ingest_ray.Project]:
    """Both tables are loaded; then each of their rows is changed without a trace in its cursor."""
    monkeypatch.delenv("INGEST_HOME", raising=False)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop, shop:
        shop.executescript(
            "create table days(id integer primary key, name text, at timestamp);"
            "insert into days values (1, 'old', '2026-01-01 00:00:00'), (2, 'old', '2026-01-02 23:59:59.999'),"
            "  (3, 'old', '2026-01-03 00:00:00'), (4, 'old', '2026-01-04 12:00:00');"
            "create table numbers(id integer primary key, name text, n integer);"
            "insert into numbers values (1, 'old', 0), (2, 'old', 999), (3, 'old', 1000), (4, 'old', 2000)"
        )
    (tmp_path / "ingest.yaml").write_text(PARTITIONED)
    with ingest_ray.open(tmp_path / "ingest.yaml") as opened:
        opened.apply()
        opened.collect("shop")
        assert opened.run("shop").state == "SUCCEEDED"
        with closing(sqlite3.connect(tmp_path / "shop.db")) as shop, shop:
            shop.executescript("update days set name = 'new'; update numbers set name = 'new'")
        yield opened


def renewed(project: ingest_ray.Project, unit: str) -> list[int]:
    return sorted(row["id"] for row in project.read("shop", unit).to_pylist() if row["name"] == "new")


@pytest.mark.filterwarnings("default")
def test_dagster_reads_a_day_or_several_again(partitioned: ingest_ray.Project) -> None:
    dagster = pytest.importorskip("dagster", reason="dagster is not installed: the example was not run")
    from examples.orchestrators.dagster_partitions import partitioned_asset

    days = partitioned_asset(partitioned, "shop", "days", dagster.DailyPartitionsDefinition("2026-01-01"))
    assert dagster.materialize([days], partition_key="2026-01-02").success
    assert renewed(partitioned, "days") == [2]
    several = {
        "dagster/asset_partition_range_start": "2026-01-02",
        "dagster/asset_partition_range_end": "2026-01-03",
    }
    assert dagster.materialize([days], tags=several).success
    assert renewed(partitioned, "days") == [2, 3]


@pytest.mark.filterwarnings("default")
def test_dagster_reads_a_range_of_a_counter_again(partitioned: ingest_ray.Project) -> None:
    dagster = pytest.importorskip("dagster", reason="dagster is not installed: the example was not run")
    from examples.orchestrators.dagster_partitions import partitioned_asset, ranges_of

    numbers = partitioned_asset(partitioned, "shop", "numbers", ranges_of([0, 1000, 2000]))
    assert dagster.materialize([numbers], partition_key="0..1000").success
    assert renewed(partitioned, "numbers") == [1, 2]


@pytest.mark.filterwarnings("default")
def test_prefect_lands_every_unit(project: ingest_ray.Project, tmp_path: Path) -> None:
    pytest.importorskip("prefect", reason="prefect is not installed: the example was not run")
    from examples.orchestrators.prefect_flow import land, land_all

    assert land_all.name == "land-all"
    assert asyncio.run(land.fn(str(tmp_path / "ingest.yaml"), "shop", "orders")) == 2


@pytest.mark.filterwarnings("default")
def test_airflow_lands_a_unit(project: ingest_ray.Project, tmp_path: Path) -> None:
    pytest.importorskip("airflow", reason="airflow is not installed: the example was not run")
    from examples.orchestrators.airflow_dag import LandUnit

    operator = LandUnit(task_id="land", file=str(tmp_path / "ingest.yaml"), endpoint="shop", unit="orders")
    assert operator.execute({}) == 2


@pytest.fixture
def server(project: ingest_ray.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    token = create_token(project._installation, "scheduler", Role.OPERATOR).token
    monkeypatch.setenv("INGEST_RAY_TOKEN", token)
    command = [sys.executable, "-m", "ingest_ray.cli", "serve", "--no-console", "--port", "0"]
    with (
        open(tmp_path / "serve.log", "w") as log,
        subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log) as process,
    ):
        try:
            while (found := re.search(r"serving (http://[^/\s]+)", (tmp_path / "serve.log").read_text())) is None:
                assert process.poll() is None, (tmp_path / "serve.log").read_text()
                time.sleep(0.05)
            yield found.group(1)
        finally:
            process.terminate()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.processes
def test_airflow_waits_for_a_run_without_a_worker(server: str, project: ingest_ray.Project) -> None:
    """The operator defers, the trigger is made again from what Airflow stores of it, and its event goes to the operator."""
    pytest.importorskip("airflow", reason="airflow is not installed: the example was not run")
    from airflow.exceptions import AirflowException, TaskDeferred

    from examples.orchestrators import airflow_deferrable as example

    def wait(unit: str) -> tuple[example.LandUnitOnServer, dict[str, Any]]:
        operator = example.LandUnitOnServer(task_id="land", server=server, endpoint="shop", unit=unit, poll_s=0.05)
        with pytest.raises(TaskDeferred) as deferred:
            operator.execute({})
        path, arguments = deferred.value.trigger.serialize()
        assert path == "examples.orchestrators.airflow_deferrable.RunEnded"
        assert json.loads(json.dumps(arguments)) == arguments
        assert deferred.value.method_name == "finish"

        async def first_event() -> Any:
            return (await anext(example.RunEnded(**arguments).run())).payload

        return operator, asyncio.run(asyncio.wait_for(first_event(), 200))

    operator, event = wait("orders")
    assert operator.finish({}, event) == 2
    with closing(sqlite3.connect(Path(project.home).parent / "shop.db")) as shop, shop:
        shop.execute("drop table orders")
    operator, event = wait("orders")
    with pytest.raises(AirflowException, match="E_"):
        operator.finish({}, event)
    with httpx.Client() as client:
        assert operator.running(client) is None
    with pytest.raises(AirflowException, match="E_INGESTION_UNIT_NOT_FOUND"):
        wait("nothing")
    trigger = example.RunEnded(server=server, endpoint="shop", unit="orders", run_id=event["run"], poll_s=1)
    asyncio.run(trigger.on_kill())
