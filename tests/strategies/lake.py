"""A simulated Atlassian site as an endpoint, and runs of its units into a lake."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from deltalake import DeltaTable

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.run import launch
from ingest_ray.sdk.contracts import Strategy
from ingest_ray.sdk.types import Dataset, Endpoint, Policy, RunMode, RunSummary, UnitConfig, UnitSpec
from ingest_ray.settings import RaySettings, Settings
from ingest_ray.simulators.atlassian import Simulation


def site_endpoint(sim: Simulation, endpoint_id: str, template: str, **config: Any) -> Endpoint:
    login = {"auth_type": "basic", "username": sim.user} if sim.mode == "cloud" else {"auth_type": "pat"}
    document = {"base_url": sim.url, "api_token": sim.token, **login, **config}
    return Endpoint(endpoint_id=endpoint_id, template=template, config=document)


@dataclass
class SiteLake:
    """One unit of one endpoint, and one lake; the checkpoint stays from run to run."""

    strategy: ClassVar[Strategy]
    folder: Path
    endpoint: Endpoint
    unit: str
    mode: RunMode = RunMode.INCREMENTAL
    policy: dict[str, Any] = field(default_factory=dict)
    filters: dict[str, Any] = field(default_factory=dict)
    inline_below: int = 2**40
    readers: int | None = None
    datasets: dict[str, Dataset] = field(default_factory=dict)
    runs: int = 0

    def cursor(self) -> str | None:
        raise NotImplementedError

    def collect(self) -> None:
        self.datasets = {dataset.name: dataset for dataset in self.strategy.collect(self.endpoint)}

    def spec(self) -> UnitSpec:
        if not self.datasets:
            self.collect()
        policy = {"cursor": self.cursor(), **self.policy} if self.mode is RunMode.INCREMENTAL else self.policy
        config = UnitConfig(
            endpoint_id=self.endpoint.endpoint_id,
            unit_id=self.unit,
            sink_id="lake",
            enabled=True,
            run_mode=self.mode,
            policy=Policy(**policy),
            filters=self.filters,
        )
        spec = UnitSpec(endpoint=self.endpoint, dataset=self.datasets[self.unit], config=config)
        self.strategy.check(spec)
        return spec

    def order(self) -> RunOrder:
        self.runs += 1
        settings = Settings(
            home=str(self.folder),
            state_url=f"sqlite:///{self.folder}/state.db",
            ray=RaySettings(
                num_cpus=2,
                object_store_bytes=100 * 1024 * 1024,
                inline_below=self.inline_below,
                inline_threads=self.readers,
            ),
        )
        return RunOrder(
            run_id=f"run-{self.runs}-{id(self)}",
            settings=settings,
            spec=self.spec(),
            sink=Endpoint(endpoint_id="lake", template="lake.delta", config={"uri": str(self.folder / "lake")}),
        )

    def run(self) -> RunSummary:
        return launch([self.order()], lambda progress: None, lambda: False)[0]

    def table(self) -> pa.Table:
        path = self.folder / "lake" / self.endpoint.endpoint_id / self.unit
        return pa.table(DeltaTable(str(path)).to_pyarrow_table())
