"""PostgreSQL behind a real pgbouncer in transaction mode: what other clients of the pool see, and what we read there."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from ingest_ray.catalog import Catalog
from ingest_ray.config import load_config
from ingest_ray.kv import open_kv
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Endpoint, RunState
from ingest_ray.service.endpoints.apply import apply
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.execution import RunReport, plan, run
from ingest_ray.testing.servers.pgbouncer import Pooler, PoolerMaker
from ingest_ray.testing.servers.postgres import Postgres
from ingest_strategies.jdbc.templates import postgres

pytestmark = pytest.mark.services

ROWS = 3_000
STATE = (
    "SELECT current_setting('search_path'), current_setting('default_transaction_read_only'),"
    " current_setting('transaction_read_only'), current_setting('IntervalStyle'), current_setting('TimeZone'),"
    " current_setting('lock_timeout'), current_setting('bytea_output')"
)


@contextmanager
def clients(pooler: Pooler, database: str, statement: str, count: int = 4) -> Iterator[None]:
    """An application that uses the pool all the time, so that backends change hands between two transactions."""
    stopping = threading.Event()

    def work() -> None:
        session = pooler.connect(database)
        while not stopping.is_set():
            session.cursor().execute(statement)
            session.commit()
        session.close()

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def spans(pg: Postgres) -> Postgres:
    pg.run("CREATE TABLE spans (id int PRIMARY KEY, span interval, moment timestamptz, raw bytea)")
    pg.run(
        "INSERT INTO spans SELECT i, i * interval '1 day 2 hours', '2025-01-01'::timestamptz + i * interval '1 h', '\\xff'"
        f" FROM generate_series(1, {ROWS}) i"
    )
    pg.run("CREATE TABLE plain (id int, span interval)")
    pg.run(f"INSERT INTO plain SELECT i, i * interval '1 day 2 hours' FROM generate_series(1, {ROWS}) i")
    pg.run("ANALYZE")
    return pg


def endpoint(url: str, **config: Any) -> Endpoint:
    return Endpoint(endpoint_id="shop", template="jdbc.postgres", config={"url": url, "schemas": ["public"], **config})


def settings_of(pooler: Pooler, database: str) -> list[Any]:
    session = pooler.connect(database)
    cursor = session.cursor()
    cursor.execute(STATE)
    state = list(cursor.fetchone())
    session.close()
    return state


def test_preview_and_collect_leave_no_setting_to_the_next_client(spans: Postgres, pgbouncer: PoolerMaker) -> None:
    pooler = pgbouncer(backends=1)
    before = settings_of(pooler, spans.name)
    source = endpoint(pooler.url(spans.name))
    datasets = {dataset.name: dataset for dataset in postgres.collect(source)}
    assert postgres.test(source).ok
    assert postgres.preview(source, datasets["public.spans"], 5).num_rows == 5
    assert settings_of(pooler, spans.name) == before


Job = Callable[..., tuple[RunReport, pa.Table, dict[str, Any]]]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    def perform(url: str, unit: str, policy: str = "") -> tuple[RunReport, pa.Table, dict[str, Any]]:
        mode = "run_mode: INCREMENTAL, " if "cursor" in policy else ""
        file = tmp_path / "ingest.yaml"
        file.write_text(
            f"""\
endpoints:
  - {{id: shop, template: jdbc.postgres, config: {{url: "{url}", schemas: [public]}}}}
sinks:
  - {{id: lake, template: lake.delta, config: {{uri: ./lake}}}}
units:
  - {{endpoint: shop, unit: "*", sink: lake, enabled: true, {mode}policy: {{target_slice_bytes: 65536{policy}}}}}
"""
        )
        config = load_config(file)
        apply(config)
        installation = Installation(config.settings)
        collect(installation, "shop")
        facts = plan(installation, UnitRef("shop", f"public.{unit}")).facts
        report = run(installation, "shop", [f"public.{unit}"])
        return report, pa.table(DeltaTable(str(tmp_path / "lake/shop" / f"public.{unit}")).to_pyarrow_table()), facts

    return perform


@pytest.mark.parametrize("unit", ["spans", "plain"])
@pytest.mark.parametrize("backends", [1, 3])
def test_every_value_is_in_our_form_and_every_row_lands(
    spans: Postgres, pgbouncer: PoolerMaker, job: Job, unit: str, backends: int
) -> None:
    """A pool of one backend, too: a snapshot that the planner holds would leave none to its readers."""
    pooler = pgbouncer(backends=backends)
    noise = "SELECT set_config('IntervalStyle', 'postgres_verbose', false), set_config('bytea_output', 'escape', false)"
    with clients(pooler, spans.name, noise):
        report, lake, facts = job(pooler.url(spans.name), unit)
    assert report.state is RunState.SUCCEEDED
    assert sorted(lake["id"].to_pylist()) == list(range(1, ROWS + 1))
    assert all(span.startswith("P") for span in lake["span"].to_pylist())
    assert "no snapshot is exported" in str(facts["pooler"])


def test_a_direct_connection_is_no_pooler(spans: Postgres, job: Job) -> None:
    _, _, facts = job(spans.url, "plain")
    assert (facts["snapshot"], "pooler" in facts) == ("one for all slices", False)


def test_a_backend_that_we_used_still_holds_the_horizon_for_its_next_client(
    spans: Postgres, pgbouncer: PoolerMaker, job: Job
) -> None:
    """A pooler leaves the name of a client to the next one that gives none: an open transaction is not taken for one of ours."""
    pooler = pgbouncer(backends=3)
    spans.run("CREATE TABLE late (id int PRIMARY KEY, at timestamptz DEFAULT now())")
    spans.run("INSERT INTO late SELECT i FROM generate_series(1, 10) i")
    job(pooler.url(spans.name), "late", ", cursor: at")
    application = pooler.connect(spans.name)
    application.cursor().execute("INSERT INTO late VALUES (11)")
    spans.run("INSERT INTO late VALUES (12)")
    job(pooler.url(spans.name), "late", ", cursor: at")
    application.commit()
    application.close()
    spans.run("INSERT INTO late VALUES (13)")
    _, lake, _ = job(pooler.url(spans.name), "late", ", cursor: at")
    assert sorted(lake["id"].to_pylist()) == list(range(1, 14))


def test_state_and_catalog_live_behind_a_pooler(spans: Postgres, pgbouncer: PoolerMaker) -> None:
    pooler = pgbouncer(backends=3)
    with clients(pooler, spans.name, "SELECT 1"):
        kv = open_kv(pooler.url(spans.name))
        for number in range(50):
            kv.put(f"a::{number}", {"n": number}, if_version=0)
        assert [document["n"] for _, document, _ in kv.scan("a::")] == sorted(range(50), key=str)
        catalog = Catalog(pooler.url(spans.name))
        with catalog.begin(is_alone=True), catalog.read():
            pass
        catalog.close()
        kv.close()
    assert spans.run("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")[0][0] == 0


def test_a_parameter_that_the_pooler_refuses_is_named(spans: Postgres, pgbouncer: PoolerMaker) -> None:
    pooler = pgbouncer()
    source = endpoint(pooler.url(spans.name), options="-c geqo=off")
    with pytest.raises(ConfigError) as refused:
        list(postgres.collect(source))
    assert "ignore_startup_parameters = options" in str(refused.value.hint)


def test_options_of_the_environment_do_not_reach_the_pooler(
    spans: Postgres, pgbouncer: PoolerMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c geqo=off")
    assert postgres.test(endpoint(pgbouncer().url(spans.name))).ok
