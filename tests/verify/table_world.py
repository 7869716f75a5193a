"""One table of a real database, loaded into a sink, and losses that are planted in that sink or at the source."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from ingest_ray.engine.reports import VerifyReport
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.registry import strategy_for
from ingest_ray.run import VerifyOptions, launch, verify_unit
from ingest_ray.sdk.types import Endpoint, Policy, RunMode, RunState, RunSummary, UnitConfig, UnitSpec
from ingest_ray.service.units.policies.excluded_columns import reduced
from ingest_ray.settings import RaySettings, Settings


@dataclass
class TableWorld:
    folder: Path
    endpoint: Endpoint
    unit: str
    execute: Callable[[str], Any]
    mode: RunMode = RunMode.INCREMENTAL
    policy: dict[str, Any] = field(default_factory=lambda: {"cursor": "at", "primary_key": ("id",)})
    sink: Endpoint | None = None
    runs: int = 0

    def order(self) -> RunOrder:
        strategy = strategy_for(self.endpoint.template)
        dataset = next(one for one in strategy.collect(self.endpoint) if one.name == self.unit)
        config = UnitConfig(
            endpoint_id=self.endpoint.endpoint_id,
            unit_id=self.unit,
            sink_id="lake",
            enabled=True,
            run_mode=self.mode,
            policy=Policy(**self.policy),
        )
        dataset = reduced(dataset, config.policy)
        self.runs += 1
        settings = Settings(
            home=str(self.folder / "home"),
            state_url=f"sqlite:///{self.folder}/state.db",
            ray=RaySettings(num_cpus=2, inline_below=2**40, inline_threads=1),
        )
        return RunOrder(
            run_id=f"run-{self.runs}",
            settings=settings,
            spec=UnitSpec(endpoint=self.endpoint, dataset=dataset, config=config),
            sink=self.sink
            or Endpoint(endpoint_id="lake", template="lake.delta", config={"uri": str(self.folder / "lake")}),
        )

    def run(self) -> RunSummary:
        summary = launch([self.order()], lambda progress: None, lambda: False)[0]
        assert summary.state is RunState.SUCCEEDED, summary.error
        return summary

    def verify(self, **options: Any) -> VerifyReport:
        return verify_unit(self.order(), VerifyOptions(**options))

    @property
    def lake(self) -> DeltaTable:
        return DeltaTable(str(self.folder / "lake" / self.endpoint.endpoint_id / self.unit))

    def rows(self) -> list[dict[str, Any]]:
        """The living rows of the lake."""
        found = self.lake.to_pyarrow_table().to_pylist()
        return [row for row in found if row["_deleted_at"] is None]


def counts(report: VerifyReport) -> tuple[int, int, int, int]:
    return report.missing, report.surplus, report.different, report.doubled


def ids(keys: Sequence[dict[str, Any]]) -> list[Any]:
    return [next(iter(key.values())) for key in keys]


def sqlite_world(folder: Path, create: str = "", unit: str = "t", **options: Any) -> TableWorld:
    path = folder / "source.db"

    def execute(sql: str) -> Any:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    for statement in filter(str.strip, create.split(";")):
        execute(statement)
    endpoint = Endpoint(endpoint_id="shop", template="jdbc.sqlite", config={"path": str(path)})
    return TableWorld(folder, endpoint, unit, execute, **options)


def postgres_world(folder: Path, server: Any, unit: str = "t", **options: Any) -> TableWorld:
    endpoint = Endpoint(endpoint_id="shop", template="jdbc.postgres", config={"url": server.url})
    return TableWorld(folder, endpoint, f"public.{unit}", server.run, **options)


def maria_world(folder: Path, server: Any, unit: str = "t", **options: Any) -> TableWorld:
    endpoint = Endpoint(endpoint_id="shop", template="jdbc.mysql", config={"url": server.url})
    return TableWorld(folder, endpoint, f"{server.name}.{unit}", server.run, **options)
