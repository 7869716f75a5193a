"""A launch over tables that did not change: two statements a table, one session, no lease; and what did change is read."""

from pathlib import Path
from typing import Any

import pytest

from ingest_ray.config import load_config
from ingest_ray.engine.run_order import Progress
from ingest_ray.kv.keys import unit_key
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunState
from ingest_ray.service.endpoints.apply import apply
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.execution import RunReport, run
from ingest_ray.state import read_states
from ingest_ray.testing.servers.postgres import Postgres

pytestmark = pytest.mark.services

TABLES = 6
STATEMENTS_A_TABLE = 2


class Tables:
    def __init__(self, folder: Path, pg: Postgres) -> None:
        self.pg = pg
        for n in range(TABLES):
            pg.run(f"CREATE TABLE t{n} (id int PRIMARY KEY, note text, at timestamptz DEFAULT now())")
            pg.run(f"INSERT INTO t{n} SELECT i FROM generate_series(1, 20) i")
        file = folder / "ingest.yaml"
        file.write_text(
            f"""\
endpoints:
  - {{id: shop, template: jdbc.postgres, config: {{url: "{pg.url}", schemas: [public]}}}}
sinks:
  - {{id: lake, template: lake.delta, config: {{uri: ./lake}}}}
units:
  - {{endpoint: shop, unit: "*", sink: lake, enabled: true, run_mode: INCREMENTAL,
     policy: {{cursor: at, lookback: 0, on_schema_change: freeze}}}}
"""
        )
        config = load_config(file)
        apply(config)
        self.installation = Installation(config.settings)
        collect(self.installation, "shop")

    def run(self, *units: str, **more: Any) -> RunReport:
        return run(self.installation, "shop", [f"public.{unit}" for unit in units], **more)

    def epochs(self) -> list[int]:
        keys = [unit_key("postgres", UnitRef("shop", f"public.t{n}"), "lake") for n in range(TABLES)]
        return [read_states(self.installation.kv, key).epoch for key in keys]


@pytest.fixture
def tables(tmp_path: Path, pg: Postgres) -> Tables:
    made = Tables(tmp_path, pg)
    assert made.run().rows.committed == TABLES * 20
    return made


class Log:
    """What the server executed for this project's sessions of one database."""

    def __init__(self, server: Any, pg: Postgres) -> None:
        self._file = Path(server.log)
        self._mark = f"{pg.name} ingest_ray "
        server.psql("ALTER SYSTEM SET log_min_duration_statement = 0;")
        server.psql("ALTER SYSTEM SET log_line_prefix = '%d %a ';")
        server.psql("SELECT pg_reload_conf();")

    def executed(self) -> list[str]:
        lines = self._file.read_text(errors="replace").splitlines()
        ours = [line for line in lines if line.startswith(self._mark)]
        return [line for line in ours if "  execute " in line]


@pytest.fixture
def log(postgres_server: Any, pg: Postgres, tables: Tables) -> Any:
    yield Log(postgres_server, pg)
    for name in ("log_min_duration_statement", "log_line_prefix"):
        postgres_server.psql(f"ALTER SYSTEM RESET {name};")
    postgres_server.psql("SELECT pg_reload_conf();")


def test_an_unchanged_table_costs_two_statements(tables: Tables, log: Log) -> None:
    assert tables.run("t0").state is RunState.SUCCEEDED
    one = len(log.executed())
    assert one > 0, "the server's log has no statement of ours"
    assert tables.run().state is RunState.SUCCEEDED
    all_of_them = len(log.executed()) - one
    assert all_of_them - one <= STATEMENTS_A_TABLE * (TABLES - 1)
    assert not any("pg_export_snapshot" in line for line in log.executed())


def test_an_unchanged_table_is_not_taken_and_keeps_its_watermark(tables: Tables) -> None:
    before = tables.epochs()
    report = tables.run()
    assert report.state is RunState.SUCCEEDED
    assert tables.epochs() == before
    assert all(unit.watermarks["all"] and unit.rows.read == 0 for unit in report.units)


def test_only_what_changed_is_taken_and_read(tables: Tables) -> None:
    before = tables.epochs()
    tables.pg.run("INSERT INTO t3 (id) VALUES (100)")
    report = tables.run()
    assert [unit.rows.committed for unit in report.units] == [0, 0, 0, 1, 0, 0]
    assert [new - old for new, old in zip(tables.epochs(), before, strict=True)] == [0, 0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER TABLE t1 DROP COLUMN note", "- note"),
        ("ALTER TABLE t1 ALTER COLUMN note TYPE varchar(9)", "note"),
        ("ALTER TABLE t1 DROP COLUMN at", "'at'"),
        ("DROP TABLE t1", "gone"),
    ],
)
def test_a_change_after_the_first_unit_of_the_launch_is_still_noticed(
    statement: str, said: str, tables: Tables
) -> None:
    def change(moment: Progress) -> None:
        if moment.unit_id == "public.t0" and moment.phase == "done":
            tables.pg.run(statement)

    report = tables.run("t0", "t1", "t2", observe=change, parallel=1)
    assert [unit.state for unit in report.units] == [RunState.SUCCEEDED, RunState.FAILED, RunState.SUCCEEDED]
    error = report.units[1].error
    assert error is not None
    assert (error.code, said in error.message) == ("E_SOURCE_CHANGED", True), error


def test_a_session_that_is_lost_between_two_units_costs_no_unit(tables: Tables) -> None:
    def lose(moment: Progress) -> None:
        if moment.phase == "done":
            tables.pg.run(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'ingest_ray'"
            )

    report = tables.run(observe=lose)
    assert [unit.error for unit in report.units] == [None] * TABLES
