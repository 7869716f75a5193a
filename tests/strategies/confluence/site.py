"""A simulated Confluence, runs from it into a lake, and what must be in the lake."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from ingest_ray.run import reconcile_unit
from ingest_ray.sdk.contracts import Strategy
from ingest_ray.sdk.types import Endpoint
from ingest_ray.simulators.atlassian import Simulation
from ingest_strategies.confluence import http
from ingest_strategies.confluence.tables import TABLES
from tests.strategies.lake import SiteLake, site_endpoint

EVERYTHING = {"include_archived": True, "include_personal": True}


def endpoint_of(sim: Simulation, **config: Any) -> Endpoint:
    return site_endpoint(sim, "wiki", "http.confluence", **{"retry_wait_s": 0.02, **EVERYTHING, **config})


@dataclass
class Lake(SiteLake):
    strategy: ClassVar[Strategy] = http
    unit: str = "confluence.page"

    def cursor(self) -> str | None:
        return TABLES[self.unit].cursor

    def reconcile(self, *, allow_all: bool = False) -> Any:
        return reconcile_unit(self.order(), allow_all)

    def rows(self) -> dict[Any, dict[str, Any]]:
        """By key, without tombstones; a key twice is an error."""
        rows = [row for row in self.table().to_pylist() if row.get("_deleted_at") is None]
        return keyed(rows, TABLES[self.unit].key)


def keyed(rows: list[dict[str, Any]], key: tuple[str, ...] = ("id",)) -> dict[Any, dict[str, Any]]:
    by_key = {row[key[0]] if len(key) == 1 else tuple(row[name] for name in key): row for row in rows}
    assert len(by_key) == len(rows), "a key is there twice"
    return by_key


def pages_of(sim: Simulation, **query: Any) -> dict[str, dict[str, Any]]:
    return {record["id"]: record for record in sim.expected("pages", **query)}


def digest(text: str | None) -> str:
    return hashlib.sha256((text or "").encode()).hexdigest()


def assert_pages(rows: dict[str, dict[str, Any]], sim: Simulation, *, labels: bool = True) -> None:
    """Every visible page and post once: its location, its status, its version, and its body to the byte."""
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


def attached(sim: Simulation, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(page, comment, attachment, label or version) of current pages, which are those that search finds."""
    for record in sim.expected("pages"):
        if record["status"] == "current":
            for child in record[name]:
                yield record, child
