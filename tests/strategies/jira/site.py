"""A simulated Jira, an installation with a lake beside it, and what must be in the lake."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.run import launch
from ingest_ray.sdk.types import Dataset, Endpoint, Policy, RunMode, RunSummary, UnitConfig, UnitSpec
from ingest_ray.settings import RaySettings, Settings
from ingest_ray.simulators.atlassian import Simulation
from ingest_strategies.jira import http


def endpoint_of(sim: Simulation, **config: Any) -> Endpoint:
    auth = {"auth_type": "basic", "username": sim.user} if sim.mode == "cloud" else {"auth_type": "pat"}
    given = {"base_url": sim.url, "api_token": sim.token, "retry_wait_s": 0.02, **auth, **config}
    return Endpoint(endpoint_id="jira", template="jira.http", config=given)


@dataclass
class Lake:
    """One endpoint and one lake; the checkpoint stays from run to run."""

    folder: Path
    endpoint: Endpoint
    unit: str = "jira.issues"
    mode: RunMode = RunMode.INCREMENTAL
    policy: dict[str, Any] = field(default_factory=dict)
    filters: dict[str, Any] = field(default_factory=dict)
    inline_below: int = 2**40
    readers: int | None = None
    datasets: dict[str, Dataset] = field(default_factory=dict)
    runs: int = 0

    def collect(self) -> None:
        self.datasets = {dataset.name: dataset for dataset in http.collect(self.endpoint)}

    def spec(self) -> UnitSpec:
        if not self.datasets:
            self.collect()
        cursor = {"jira.changelogs": "created", "jira.users": None, "jira.projects": None}.get(self.unit, "updated")
        policy = {"cursor": cursor, **self.policy} if self.mode is RunMode.INCREMENTAL else self.policy
        config = UnitConfig(
            endpoint_id="jira",
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

    def run(self) -> RunSummary:
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
        order = RunOrder(
            run_id=f"run-{self.runs}-{id(self)}",
            settings=settings,
            spec=self.spec(),
            sink=Endpoint(endpoint_id="lake", template="lake.delta", config={"uri": str(self.folder / "lake")}),
        )
        return launch([order], lambda progress: None, lambda: False)[0]

    def table(self) -> pa.Table:
        return pa.table(DeltaTable(str(self.folder / "lake" / "jira" / self.unit)).to_pyarrow_table())

    def rows(self) -> dict[str, dict[str, Any]]:
        """By id; an id twice is an error."""
        found = self.table().to_pylist()
        by_id = {row["id"]: row for row in found}
        assert len(by_id) == len(found), "an id is there twice"
        return by_id


def issues_of(sim: Simulation) -> dict[str, dict[str, Any]]:
    return {record["id"]: record for record in sim.expected("issues")}


def comparable(issue: dict[str, Any], *, own: bool = False) -> dict[str, Any]:
    """An issue with its lists bare, as the simulator's truth has them.

    `own`: without what it shows of other issues. When one of those changes or goes, this one's `updated` does not move.
    """
    fields = dict(issue["fields"])
    if own:
        fields = {name: value for name, value in fields.items() if name not in ("parent", "subtasks", "issuelinks")}
    for name, inner in (("comment", "comments"), ("worklog", "worklogs")):
        if isinstance(fields[name], dict):
            assert fields[name]["total"] == len(fields[name][inner])
            fields[name] = fields[name][inner]
    return {"id": issue["id"], "key": issue["key"], "fields": fields}


def assert_exact(lake: Lake, sim: Simulation, *, own: bool = False) -> None:
    """Every live issue once, with every field, comment and worklog that it has."""
    rows, truth = lake.rows(), issues_of(sim)
    assert rows.keys() == truth.keys()
    for number, record in truth.items():
        found = comparable(json.loads(rows[number]["payload"]), own=own)
        assert found == comparable(record["issue"], own=own), number


def children_of(sim: Simulation, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for record in sim.expected("issues"):
        issue = record["issue"]
        found = issue["changelog"] if name == "changelog" else issue["fields"][name]
        for child in found:
            yield record["id"], child
