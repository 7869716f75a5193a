"""A simulated Jira, runs from it into a lake, and what must be in the lake."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from ingest_ray.sdk.contracts import Strategy
from ingest_ray.sdk.types import Endpoint
from ingest_ray.simulators.atlassian import Simulation
from ingest_strategies.jira import http
from ingest_strategies.jira.tables import TABLES
from tests.strategies.lake import SiteLake, site_endpoint


def endpoint_of(sim: Simulation, **config: Any) -> Endpoint:
    return site_endpoint(sim, "jira", "jira.http", **{"retry_wait_s": 0.02, **config})


@dataclass
class Lake(SiteLake):
    strategy: ClassVar[Strategy] = http
    unit: str = "jira.issues"

    def cursor(self) -> str | None:
        return TABLES[self.unit].cursor

    def rows(self) -> dict[str, dict[str, Any]]:
        """By id; an id twice is an error."""
        rows = self.table().to_pylist()
        by_id = {row["id"]: row for row in rows}
        assert len(by_id) == len(rows), "an id is there twice"
        return by_id


def issues_of(sim: Simulation) -> dict[str, dict[str, Any]]:
    return {record["id"]: record for record in sim.expected("issues")}


def comparable(issue: dict[str, Any], *, own: bool = False) -> dict[str, Any]:
    """An issue with its lists bare, as the simulator has them.

    `own`: without fields of other issues. When one of those changes or is deleted, this one's `updated` does not change.
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
        stored = comparable(json.loads(rows[number]["payload"]), own=own)
        assert stored == comparable(record["issue"], own=own), number


def children_of(sim: Simulation, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for record in sim.expected("issues"):
        issue = record["issue"]
        children = issue["changelog"] if name == "changelog" else issue["fields"][name]
        for child in children:
            yield record["id"], child
