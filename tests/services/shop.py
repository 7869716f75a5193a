"""A shop in a real PostgreSQL and a lake, driven only through the command line, as a user would."""

import json
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from ingest_ray.testing.servers.postgres import Postgres
from tests import forks


@dataclass
class Shop:
    folder: Path
    server: Postgres
    policy: str = "{cursor: updated_at, primary_key: [id], write: upsert}"
    run_mode: str = "INCREMENTAL"
    inline_below: int = 67_108_864

    def set_up(self) -> "Shop":
        (self.folder / "ingest.yaml").write_text(
            f"""\
ray: {{address: local, inline_below: {self.inline_below}, num_cpus: 2, object_store_bytes: 104857600}}
endpoints:
  - {{id: shop, template: jdbc.postgres, config: {{url: "{self.server.url}", schemas: [public]}}}}
sinks:
  - {{id: lake, template: lake.delta, config: {{uri: ./lake}}}}
units:
  - {{endpoint: shop, unit: "public.*", sink: lake, enabled: true, run_mode: {self.run_mode}, policy: {self.policy}}}
"""
        )
        assert self.json("apply")["changes"]
        self.json("collect", "shop")
        return self

    def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return forks.run_module("ingest_ray.cli", *arguments, cwd=self.folder)

    def json(self, *arguments: str) -> dict[str, Any]:
        done = self.call(*arguments, "--json")
        assert len(done.stdout.splitlines()) == 1, done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def run(self, *units: str) -> dict[str, Any]:
        return self.json("run", "shop", *units)

    def lake(self, unit: str = "public.orders") -> pa.Table:
        return pa.table(DeltaTable(str(self.folder / "lake" / "shop" / unit)).to_pyarrow_table())

    def rows(self, unit: str = "public.orders", *columns: str) -> Counter[tuple[Any, ...]]:
        table = self.lake(unit).select(list(columns or ("id",)))
        return Counter(tuple(row.values()) for row in table.to_pylist())
