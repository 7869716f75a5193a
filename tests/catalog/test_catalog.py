"""The catalog on SQLite and on a real PostgreSQL: versions of datasets, optimistic configs, migrations."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from ingest_ray.catalog import Catalog, accepted_schema, dataset_versions, endpoints, run_records, unit_configs
from ingest_ray.catalog.endpoints import Registration
from ingest_ray.catalog.tables import (
    audit,
    catalog_schema,
    incidents,
    notifications,
    periodic_tasks,
    run_lines,
    schedules,
    tables,
    task_schedules,
    tokens,
    unit_datasets,
    unit_totals,
)
from ingest_ray.sdk.errors import DuplicateEndpoint, StateConflict, StateUnreadable
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Column, Dataset, Endpoint, RunState, RunSummary, UnitConfig

ORDERS = UnitRef("shop", "orders")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (
        f"sqlite:///{tmp_path}/home/state.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    opened = Catalog(url)
    yield opened
    opened.close()


def table(name: str = "orders", *columns: str, rows: int = 1, key: tuple[str, ...] = ("id",)) -> Dataset:
    return Dataset(
        endpoint_id="shop",
        name=name,
        columns=tuple(Column(name=column, source_type="int4", arrow="int32") for column in columns or ("id", "at")),
        primary_key=key,
        estimated_rows=rows,
    )


def test_an_unchanged_dataset_adds_no_version_and_its_estimates_are_kept_current(catalog: Catalog) -> None:
    with catalog.begin() as c:
        assert dataset_versions.record(c, "shop", [table()]).added == ("orders",)
    with catalog.begin() as c:
        found = dataset_versions.record(c, "shop", [table(rows=9)])
        assert (found.found, found.added, found.changed, found.gone) == (1, (), (), ())
        (version,) = dataset_versions.history(c, "shop", "orders")
        assert version.dataset.estimated_rows == 9
        assert version.last_seen_at > version.first_seen_at


def test_a_changed_dataset_adds_a_version_and_the_old_one_can_still_be_read(catalog: Catalog) -> None:
    with catalog.begin() as c:
        dataset_versions.record(c, "shop", [table()])
        assert dataset_versions.record(c, "shop", [table("orders", "id", "at", "note")]).changed == ("orders",)
        assert dataset_versions.record(c, "shop", [table("orders", "id", "at", "note", key=())]).changed == ("orders",)
        history = dataset_versions.history(c, "shop", "orders")
        assert [(v.version, v.is_current, len(v.dataset.columns)) for v in history] == [
            (1, False, 2),
            (2, False, 3),
            (3, True, 3),
        ]
        assert [len(dataset.columns) for dataset in dataset_versions.current(c, "shop")] == [3]


def test_a_vanished_dataset_is_marked_and_comes_back_with_its_history(catalog: Catalog) -> None:
    with catalog.begin() as c:
        dataset_versions.record(c, "shop", [table(), table("customers")])
        assert dataset_versions.record(c, "shop", [table("customers")]).gone == ("orders",)
        assert dataset_versions.record(c, "shop", [table("customers")]).gone == ()
        assert [dataset.name for dataset in dataset_versions.current(c, "shop")] == ["customers"]
        version = dataset_versions.find(c, "shop", "orders")
        assert version is not None
        assert version.gone_at is not None
        assert dataset_versions.record(c, "shop", [table(), table("customers")]).added == ("orders",)
        assert len(dataset_versions.history(c, "shop", "orders")) == 1


def test_other_endpoints_are_not_touched_by_a_collection(catalog: Catalog) -> None:
    with catalog.begin() as c:
        dataset_versions.record(c, "shop", [table()])
        dataset_versions.record(c, "crm", [])
        assert [dataset.name for dataset in dataset_versions.current(c, "shop")] == ["orders"]


def test_a_unit_config_that_somebody_else_changed_is_a_conflict(catalog: Catalog) -> None:
    config = UnitConfig(endpoint_id="shop", unit_id="orders", sink_id="lake")
    with catalog.begin() as c:
        assert unit_configs.put(c, config, "rule", 0) == 1
        assert unit_configs.put(c, config.model_copy(update={"enabled": True}), "set", 1) == 2
    for stale in (0, 1, 3):
        with pytest.raises(StateConflict), catalog.begin() as c:
            unit_configs.put(c, config, "rule", stale)
    with catalog.read() as c:
        found = unit_configs.find(c, ORDERS)
        assert found is not None
        assert (found.config.enabled, found.origin, found.version) == (True, "set", 2)


def test_an_endpoint_keeps_its_id_from_the_other_role_until_it_is_removed(catalog: Catalog) -> None:
    def entry(role: endpoints.Role) -> Registration:
        return Registration(endpoint=Endpoint(endpoint_id="x", template="t"), role=role, vendor="v")

    with catalog.begin() as c:
        endpoints.save(c, entry("source"))
        with pytest.raises(DuplicateEndpoint):
            endpoints.save(c, entry("sink"))
        endpoints.remove(c, "x")
        assert endpoints.find(c, "x", "source") is None
        assert endpoints.vendor_of(c, "x") == "v"
        endpoints.save(c, entry("sink"))
        assert endpoints.find(c, "x", "sink") is not None


def test_one_run_id_has_one_record_and_the_latest_of_each_unit_is_found(catalog: Catalog) -> None:
    def summary(run_id: str, unit: str = "orders", state: RunState = RunState.RUNNING) -> RunSummary:
        return RunSummary(run_id=run_id, endpoint_id="shop", unit_id=unit, sink_id="lake", state=state)

    with catalog.begin() as c:
        run_records.start(c, summary("1"), "{}")
        with pytest.raises(StateConflict):
            run_records.start(c, summary("1"), "{}")
        with pytest.raises(StateConflict):
            run_records.finish(c, summary("2"))
    with catalog.begin() as c:
        run_records.finish(c, summary("1", state=RunState.SUCCEEDED))
        run_records.start(c, summary("2"), "{}")
        run_records.start(c, summary("3", "customers"), "{}")
        latest = run_records.latest(c, "shop")
        assert {unit: record.summary.run_id for unit, record in latest.items()} == {
            ORDERS: "2",
            UnitRef("shop", "customers"): "3",
        }
        assert [record.summary.run_id for record in run_records.recent(c, ORDERS)] == ["2", "1"]
        assert [record.summary.run_id for record in run_records.running(c)] == ["2", "3"]


def test_an_error_inside_a_transaction_undoes_all_of_it(catalog: Catalog) -> None:
    with pytest.raises(ZeroDivisionError):
        _record_and_break(catalog)
    with catalog.read() as c:
        assert dataset_versions.current(c, "shop") == []


def test_a_catalog_of_a_newer_version_is_refused_and_left_alone(catalog: Catalog, url: str) -> None:
    with catalog.begin() as c:
        c.execute(catalog_schema.update().values(number=99))
    newer = Catalog(url)
    with pytest.raises(StateUnreadable, match="schema number 99") as caught, newer.begin():
        pass
    assert caught.value.hint
    newer.close()
    with catalog.read() as c:
        assert c.execute(sa.select(catalog_schema.c.number)).scalar_one() == 99


def test_a_catalog_of_the_first_version_is_brought_to_this_one_and_keeps_its_runs(catalog: Catalog, url: str) -> None:
    with catalog.begin() as c:
        run_records.start(
            c, RunSummary(run_id="1", endpoint_id="e", unit_id="u", sink_id="s", state=RunState.RUNNING), "{}"
        )
        expected = _columns(c)
        c.execute(sa.schema.DropTable(unit_datasets))
        later_tables = (run_lines, tokens, schedules, task_schedules, audit, unit_totals, incidents, notifications)
        for later in (*later_tables, periodic_tasks):
            c.execute(sa.schema.DropTable(later))
        c.exec_driver_sql("DROP INDEX ingest_runs_by_state")
        c.exec_driver_sql("DROP INDEX ingest_runs_by_end")
        for column in ("requested_by", "filters", "owner"):
            c.exec_driver_sql(f"ALTER TABLE ingest_collections DROP COLUMN {column}")
        c.exec_driver_sql("ALTER TABLE ingest_endpoints DROP COLUMN about")
        c.exec_driver_sql("ALTER TABLE ingest_runs DROP COLUMN task")
        c.execute(catalog_schema.update().values(number=1))
    newer = Catalog(url)
    with newer.begin() as c:
        assert set(run_records.latest(c)) == {UnitRef("e", "u")}
        assert _columns(c) == expected
        accepted_schema.put(c, ORDERS, "lake", table())
    newer.close()


def _columns(connection: sa.Connection) -> dict[str, set[str]]:
    look = sa.inspect(connection)
    return {name: {column["name"] for column in look.get_columns(name)} for name in tables.tables}


def test_a_run_that_finds_a_changed_dataset_adds_a_version_and_an_unchanged_one_adds_none(catalog: Catalog) -> None:
    with catalog.begin() as c:
        dataset_versions.record(c, "shop", [table()])
        assert not dataset_versions.observe(c, table(rows=5))
        assert dataset_versions.observe(c, table("orders", "id", "at", "note"))
        assert [len(version.dataset.columns) for version in dataset_versions.history(c, "shop", "orders")] == [2, 3]
        assert [len(dataset.columns) for dataset in dataset_versions.current(c, "shop")] == [3]


def test_what_a_unit_ran_with_is_remembered_for_each_sink_and_forgotten_alone(catalog: Catalog) -> None:
    with catalog.begin() as c:
        accepted_schema.put(c, ORDERS, "lake", table())
        accepted_schema.put(c, ORDERS, "lake", table("orders", "id"))
        accepted_schema.put(c, ORDERS, "warehouse", table())
        assert accepted_schema.find(c, ORDERS, "lake") == table("orders", "id")
        accepted_schema.forget(c, ORDERS, "lake")
        assert accepted_schema.find(c, ORDERS, "lake") is None
        assert accepted_schema.find(c, ORDERS, "warehouse") == table()


def test_a_backfill_is_not_the_latest_run_of_its_unit(catalog: Catalog) -> None:
    ids = {"endpoint_id": "shop", "unit_id": "orders", "sink_id": "lake", "state": RunState.RUNNING}
    with catalog.begin() as c:
        run_records.start(c, RunSummary(run_id="1", **ids), "{}")
        run_records.start(c, RunSummary(run_id="2", task="backfill", **ids), "{}")
        assert [record.summary.run_id for record in run_records.latest(c).values()] == ["1"]
        assert [record.summary.task for record in run_records.recent(c, ORDERS)] == ["backfill", "ingest"]


def test_many_that_open_a_new_catalog_at_once_make_it_once(url: str) -> None:
    def opened(n: int) -> int:
        catalog = Catalog(url)
        with catalog.begin() as c:
            dataset_versions.record(c, f"shop{n}", [])
            numbers = list(c.execute(sa.select(catalog_schema.c.number)).scalars())
        catalog.close()
        return len(numbers)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(opened, range(8))) == [1] * 8


def test_a_reader_does_not_wait_for_a_writer(catalog: Catalog) -> None:
    with catalog.begin() as writing:
        dataset_versions.record(writing, "shop", [table()])
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(_names, catalog).result(timeout=60) == []
    assert _names(catalog) == ["orders"]


def _record_and_break(catalog: Catalog) -> None:
    with catalog.begin() as c:
        dataset_versions.record(c, "shop", [table()])
        raise ZeroDivisionError


def _names(catalog: Catalog) -> list[str]:
    with catalog.read() as c:
        return [dataset.name for dataset in dataset_versions.current(c, "shop")]
