"""A simulated Confluence, an installation with a lake beside it, and what must be in the lake."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.run import launch
from ingest_ray.run.reconcile import reconcile_unit
from ingest_ray.sdk.types import Dataset, Endpoint, Policy, RunMode, RunSummary, UnitConfig, UnitSpec
from ingest_ray.settings import RaySettings, Settings
from ingest_ray.simulators.atlassian import Simulation
from ingest_strategies.confluence import http
from ingest_strategies.confluence.tables import TABLES

EVERYTHING = {"include_archived": True, "include_personal": True}


def endpoint_of(sim: Simulation, **config: Any) -> Endpoint:
    auth = {"auth_type": "basic", "username": sim.user} if sim.mode == "cloud" else {"auth_type": "pat"}
    given = {"base_url": sim.url, "api_token": sim.token, "retry_wait_s": 0.02, **auth, **EVERYTHING, **config}
    return Endpoint(endpoint_id="wiki", template="http.confluence", config=given)


@dataclass
class Lake:
    """One endpoint and one lake; the checkpoint stays from run to run."""

    folder: Path
    endpoint: Endpoint
    unit: str = "confluence.page"
    mode: RunMode = RunMode.INCREMENTAL
    policy: dict[str, Any] = field(default_factory=dict)
    filters: dict[str, Any] = field(default_factory=dict)
    inline_below: int = 2**40
    datasets: dict[str, Dataset] = field(default_factory=dict)
    runs: int = 0

    def collect(self) -> None:
        self.datasets = {dataset.name: dataset for dataset in http.collect(self.endpoint)}

    def spec(self) -> UnitSpec:
        if not self.datasets:
            self.collect()
        cursor = TABLES[self.unit].cursor
        policy = {"cursor": cursor, **self.policy} if self.mode is RunMode.INCREMENTAL else self.policy
        config = UnitConfig(
            endpoint_id="wiki",
            unit_id=self.unit,
            sink_id="lake",
            enabled=True,
            run_mode=self.mode,
            policy=Policy(**policy),
            filters=self.filters,
        )
        spec = UnitSpec(endpoint=self.endpoint, dataset=self.datasets[self.unit], config=config)
        http.check(spec)
        return spec

    def order(self) -> RunOrder:
        self.runs += 1
        settings = Settings(
            home=str(self.folder),
            state_url=f"sqlite:///{self.folder}/state.db",
            ray=RaySettings(num_cpus=2, object_store_bytes=100 * 1024 * 1024, inline_below=self.inline_below),
        )
        return RunOrder(
            run_id=f"run-{self.runs}-{id(self)}",
            settings=settings,
            spec=self.spec(),
            sink=Endpoint(endpoint_id="lake", template="lake.delta", config={"uri": str(self.folder / "lake")}),
        )

    def run(self) -> RunSummary:
        return launch([self.order()], lambda progress: None, lambda: False)[0]

    def reconcile(self, *, allow_all: bool = False) -> Any:
        return reconcile_unit(self.order(), allow_all)

    def table(self) -> pa.Table:
        return pa.table(DeltaTable(str(self.folder / "lake" / "wiki" / self.unit)).to_pyarrow_table())

    def rows(self) -> dict[Any, dict[str, Any]]:
        """By key, without tombstones; a key twice is an error."""
        found = [row for row in self.table().to_pylist() if row.get("_deleted_at") is None]
        return keyed(found, TABLES[self.unit].key)


def keyed(rows: list[dict[str, Any]], key: tuple[str, ...] = ("id",)) -> dict[Any, dict[str, Any]]:
    by_key = {row[key[0]] if len(key) == 1 else tuple(row[name] for name in key): row for row in rows}
    assert len(by_key) == len(rows), "a key is there twice"
    return by_key


def pages_of(sim: Simulation, **asked: Any) -> dict[str, dict[str, Any]]:
    return {record["id"]: record for record in sim.expected("pages", **asked)}


def digest(text: str | None) -> str:
    return hashlib.sha256((text or "").encode()).hexdigest()


def assert_pages(rows: dict[str, dict[str, Any]], sim: Simulation, *, labels: bool = True) -> None:
    """Every visible page and post once: where it is, what became of it, its version, and its body to the byte."""
    truth = pages_of(sim)
    assert rows.keys() == truth.keys()
    for number, record in truth.items():
        assert_page(rows[number], record, is_cloud=sim.mode == "cloud", labels=labels)


def assert_page(row: dict[str, Any], record: dict[str, Any], *, is_cloud: bool, labels: bool = True) -> None:
    number = record["id"]
    assert row["type"] == record["type"], number
    assert row["status"] == record["status"], number
    assert row["space_key"] == record["space"], number
    assert row["title"] == record["title"], number
    assert row["version"] == record["version"], number
    assert round(row["modified_at"].timestamp() * 1000) == record["modified_ms"], number
    assert round(row["created_at"].timestamp() * 1000) == record["created_ms"], number
    assert row["author_id"] == record["author"], number
    assert row["editor_id"] == record["editor"], number
    assert row["body_format"] == "storage", number
    assert digest(row["body"]) == record["body_sha256"], number
    if is_cloud:
        assert row["parent_id"] == record["parent"], number
    if labels and (record["status"] == "current" or not is_cloud):
        assert row["labels"] == record["labels"], number


def hung(sim: Simulation, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(page, what hangs on it) of everything that search finds: what is on current pages."""
    for record in sim.expected("pages"):
        if record["status"] == "current":
            for one in record[name]:
                yield record, one
