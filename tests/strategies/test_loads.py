"""Large loads at the site's limit while its issues and pages move, go and come back; afterwards `verify` finds no difference.

The figures are printed. How much of the rate was used is not asserted: a busy machine uses less.

`INGEST_LOAD_ISSUES`, `INGEST_LOAD_PAGES` and `INGEST_LOAD_RATE` set the size, and the requests per second of the busiest endpoint.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.run import VerifyOptions, reconcile_unit, verify_unit
from ingest_ray.sdk.types import RunState
from ingest_ray.simulators.atlassian import Simulation, simulate
from tests.strategies.confluence.site import Lake as WikiLake
from tests.strategies.confluence.site import endpoint_of as wiki_endpoint
from tests.strategies.jira.site import Lake as JiraLake
from tests.strategies.jira.site import endpoint_of as jira_endpoint
from tests.strategies.lake import SiteLake

ISSUES = int(os.environ.get("INGEST_LOAD_ISSUES", "50000"))
PAGES = int(os.environ.get("INGEST_LOAD_PAGES", "100000"))
RATE = float(os.environ.get("INGEST_LOAD_RATE", "40"))
STEPS: dict[str, tuple[dict[str, Any], ...]] = {
    "jira": (
        {"op": "update", "count": 10}, {"op": "move", "count": 4}, {"op": "create", "count": 3}, {"op": "delete", "count": 2},
        {"op": "archive", "count": 3}, {"op": "restrict", "count": 3}, {"op": "restore", "count": 2}, {"op": "unrestrict", "count": 2},
    ),
    "confluence": (
        {"op": "edit", "count": 10}, {"op": "move", "count": 3}, {"op": "reparent", "count": 2}, {"op": "create", "count": 3},
        {"op": "trash", "count": 3}, {"op": "archive", "count": 2}, {"op": "restore", "count": 2}, {"op": "purge", "count": 1},
    ),
}  # fmt: skip


@dataclass
class Unrest:
    """Changes a site again and again. `done` counts what each operation changed."""

    sim: Simulation
    stop: threading.Event = field(default_factory=threading.Event)
    done: dict[str, int] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)

    def run(self) -> None:
        seed = 0
        while not self.stop.wait(1.0):
            seed += 1
            for step in STEPS[self.sim.product]:
                try:
                    changed = self.sim.mutate(**step, seed=seed)
                except Exception as error:  # told at the end: a thread's error is nobody's
                    self.errors.append(error)
                    return
                self.done[step["op"]] = self.done.get(step["op"], 0) + len(changed)


@contextmanager
def changing(sim: Simulation) -> Iterator[Unrest]:
    unrest = Unrest(sim)
    thread = threading.Thread(target=unrest.run)
    thread.start()
    try:
        yield unrest
    finally:
        unrest.stop.set()
        thread.join()


def share_of_rate(stats: dict[str, Any], busiest: str | None) -> float:
    """How much of the rate was used while bodies were read: of the busiest endpoint, or of the site, where it has one rate."""
    by_endpoint = stats["endpoint_seconds"]
    counts: dict[int, int] = {}
    for found in by_endpoint.values() if busiest is None else [by_endpoint[busiest]]:
        for second, count in found.items():
            counts[int(second)] = counts.get(int(second), 0) + count
    return float(sum(counts.values()) / (max(counts) - min(counts) + 1) / RATE)


@pytest.mark.faults
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize(
    ("product", "mode", "busiest"),
    [
        ("jira", "cloud", "POST /rest/api/{api}/issue/bulkfetch"),
        ("jira", "dc", None),
        ("confluence", "cloud", "GET /wiki/api/v2/pages"),
        ("confluence", "dc", None),
    ],
)
def test_after_a_large_load_verify_finds_no_difference(
    tmp_path: Path, product: Any, mode: Any, busiest: str | None
) -> None:
    size: Any = {"issues": ISSUES, "projects": 20} if product == "jira" else {"pages": PAGES, "spaces": 40}
    with simulate(product, mode, rate_limit=RATE, latency_ms=40, process=True, **size) as sim:
        lake = lake_of(sim, tmp_path)
        lake.collect()
        sim.reset_stats()
        started = time.monotonic()
        with changing(sim) as unrest:
            first = lake.run()
        assert not unrest.errors, unrest.errors
        stats, seconds = sim.stats(), time.monotonic() - started
        assert first.state is RunState.SUCCEEDED, first.error
        sim.change_rate_limit(0)
        sim.advance_clock(7200)
        second = lake.run()
        assert second.state is RunState.SUCCEEDED, second.error
        reconciled = reconcile_unit(lake.order(), False)
        assert reconciled.error is None
        verified = verify_unit(lake.order(), VerifyOptions(with_values=True))
        figures = {
            "load": [product, mode, size, RATE],
            "rows": [first.rows.committed, second.rows.committed],
            "seconds": round(seconds),
            "share_of_rate": round(share_of_rate(stats, busiest), 3),
            "share_of_429": round(stats["too_many_requests"] / stats["requests"], 4),
            "changed": unrest.done,
            "verified": [verified.compared, verified.rows_at_source, verified.rows_in_sink],
        }
        print(json.dumps(figures), flush=True)
        assert verified.state is RunState.SUCCEEDED, verified
        assert verified.missing == verified.surplus == verified.different == verified.doubled == 0
        truth = {record["id"] for record in sim.expected(brief=True)}
        stored = {row["id"] for row in rows_of(lake)}
        assert stored >= truth
        assert stored - truth <= archived_of(sim), "what is left over is there for those who know its id"


def archived_of(sim: Simulation) -> set[str]:
    """Archived issues: no search finds them, and a request by id does."""
    if sim.product != "jira":
        return set()
    return {record["id"] for record in sim.expected("all", brief=True) if record["archived"]}


def lake_of(sim: Simulation, folder: Path) -> SiteLake:
    if sim.product == "jira":
        return JiraLake(folder, jira_endpoint(sim))
    return WikiLake(folder, wiki_endpoint(sim))


def rows_of(lake: SiteLake) -> list[dict[str, Any]]:
    columns = ["id", "_deleted_at"]
    table = lake.table()
    return [
        row
        for row in table.select([c for c in columns if c in table.column_names]).to_pylist()
        if row.get("_deleted_at") is None
    ]
