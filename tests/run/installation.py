"""One installation in a folder, with a scripted source and a Delta lake: what tests of the run layer stand on."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from ingest_ray.engine.run_order import Progress, RunOrder
from ingest_ray.run import launch
from ingest_ray.sdk.types import Endpoint, Policy, RunMode, RunSummary, UnitConfig, UnitSpec
from ingest_ray.settings import RaySettings, Settings, StagingSettings
from ingest_ray.testing.scripted import noted, scripted

ROOTS = {"lake.delta": "uri", "lake.iceberg": "warehouse"}
ANYWHERE = {"ray.io/node-id": "!none"}  # a label of every node: actors are started as on a cluster


@dataclass
class Installation:
    folder: Path
    unit: str = "numbers-1x2000"
    mode: RunMode = RunMode.INCREMENTAL
    policy: dict[str, Any] = field(default_factory=lambda: {"cursor": "at"})
    source: dict[str, Any] = field(default_factory=dict)
    inline_below: int = 2**40
    threads: int | None = None
    staging: str = "auto"
    cap_bytes: int = 2**30
    actor_labels: dict[str, str] = field(default_factory=dict)
    sink: str = "lake.delta"
    runs: int = 0
    progress: list[Progress] = field(default_factory=list)

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    @property
    def settings(self) -> Settings:
        return Settings(
            home=str(self.folder),
            state_url=f"sqlite:///{self.folder}/state.db",
            staging=StagingSettings(provider=self.staging, cap_bytes=self.cap_bytes),  # type: ignore[arg-type]
            ray=RaySettings(
                num_cpus=2,
                object_store_bytes=100 * 1024 * 1024,
                inline_below=self.inline_below,
                inline_threads=self.threads,
                actor_labels=self.actor_labels,
            ),
        )

    def order(self, **task: str) -> RunOrder:
        endpoint = Endpoint(
            endpoint_id="e",
            template="testing.scripted",
            config={"units": [self.unit], "journal": str(self.journal), **self.source},
        )
        datasets = list(scripted.collect(endpoint))
        config = UnitConfig(
            endpoint_id="e",
            unit_id=self.unit,
            sink_id="lake",
            enabled=True,
            run_mode=self.mode,
            policy=Policy(**self.policy),
        )
        self.runs += 1
        return RunOrder(
            run_id=f"run-{self.runs}-{id(self)}",
            settings=self.settings,
            spec=UnitSpec(endpoint=endpoint, dataset=datasets[0], config=config),
            sink=Endpoint(endpoint_id="lake", template=self.sink, config={ROOTS[self.sink]: str(self.folder / "lake")}),
            **task,  # type: ignore[arg-type]
        )

    def run(self, order: RunOrder | None = None) -> RunSummary:
        return launch([order or self.order()], self.progress.append, lambda: False)[0]

    def run_until(self, is_enough: Callable[[Progress], bool]) -> RunSummary:
        """One run that is asked to stop when its progress is enough."""
        seen: list[Progress] = []
        return launch([self.order()], seen.append, lambda: any(map(is_enough, seen)))[0]

    def iceberg(self) -> Table:
        catalog = SqlCatalog("ingest", uri=f"sqlite:///{self.folder}/lake/catalog.db")
        return catalog.load_table(("e", self.unit.replace("-", "_")))

    def lake(self) -> pa.Table:
        if self.sink == "lake.iceberg":
            return self.iceberg().scan().to_arrow()
        return pa.table(DeltaTable(str(self.folder / "lake" / "e" / self.unit)).to_pyarrow_table())

    def ids(self) -> Counter[int]:
        return Counter(self.lake()["id"].to_pylist())

    def expected_ids(self) -> Counter[int]:
        segments, rows = map(int, self.unit.removeprefix("numbers-").split("x"))
        return Counter(range(segments * rows))

    def reads(self) -> list[str]:
        return [line for line in noted(self.journal) if line.startswith("read")]

    def forget_reads(self) -> None:
        self.journal.write_text("")


def write_order(installation: Installation, path: Path) -> Path:
    path.write_text(json.dumps(installation.order().model_dump(mode="json")))
    return path
