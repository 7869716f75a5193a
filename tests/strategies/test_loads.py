"""Large loads at the site's limit while its issues and pages move, go and come back; afterwards `verify` finds no difference.

The figures are printed. How much of the rate was used is asserted only where `INGEST_LOAD_LEAST_SHARE` says so: a machine that is too busy for
the rate uses less. tests/http/test_limit_shares.py shows it in simulated time.

`INGEST_LOAD_ISSUES`, `INGEST_LOAD_PAGES`, `INGEST_LOAD_CONTAINERS` (projects or spaces) and `INGEST_LOAD_RATE` (requests per second of each
endpoint; of the site on Data Center) set the size.
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
from ingest_ray.simulators.atlassian.server.rate_limits import WEIGHTS
from tests.strategies.confluence.site import Lake as WikiLake
from tests.strategies.confluence.site import endpoint_of as wiki_endpoint
from tests.strategies.jira.site import Lake as JiraLake
from tests.strategies.jira.site import endpoint_of as jira_endpoint
from tests.strategies.lake import SiteLake

ISSUES = int(os.environ.get("INGEST_LOAD_ISSUES", "50000"))
PAGES = int(os.environ.get("INGEST_LOAD_PAGES", "100000"))
RATE = float(os.environ.get("INGEST_LOAD_RATE", "40"))
CONTAINERS = int(os.environ.get("INGEST_LOAD_CONTAINERS", "20"))
LEAST_SHARE = float(os.environ.get("INGEST_LOAD_LEAST_SHARE", "0"))
LEAST_SECONDS = 20
"""Of an endpoint that is used for less, nothing can be said."""
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


def share_of_rate(stats: dict[str, Any], *, has_endpoint_limits: bool) -> tuple[str, float]:
    """The endpoint whose limit was used most, and how much of it in the middle four fifths of its time; of the site, where it has one rate.

    Before and after them, the first slices are planned, and the last ones come to their end one by one.
    """
    by_endpoint: dict[str, dict[str, int]] = stats["endpoint_seconds"]
    if not has_endpoint_limits:
        return "site", used(list(by_endpoint.values()), RATE)
    found = {name: used([counts], RATE * WEIGHTS.get(name, 1.0)) for name, counts in by_endpoint.items()}
    busiest = max(found, key=found.__getitem__)
    return busiest, found[busiest]


def used(all_counts: list[dict[str, int]], rate: float) -> float:
    counts: dict[int, int] = {}
    for found in all_counts:
        for second, count in found.items():
            counts[int(second)] = counts.get(int(second), 0) + count
    first, length = min(counts), max(counts) - min(counts) + 1
    if length < LEAST_SECONDS:
        return 0.0
    middle = range(first + length // 10, first + length - length // 10)
    return sum(counts.get(second, 0) for second in middle) / len(middle) / rate


@pytest.mark.faults
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize(
    ("product", "mode"), [("jira", "cloud"), ("jira", "dc"), ("confluence", "cloud"), ("confluence", "dc")]
)
def test_after_a_large_load_verify_finds_no_difference(tmp_path: Path, product: Any, mode: Any) -> None:
    size: Any = (
        {"issues": ISSUES, "projects": CONTAINERS} if product == "jira" else {"pages": PAGES, "spaces": CONTAINERS}
    )
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
        busiest, share = share_of_rate(stats, has_endpoint_limits=mode == "cloud")
        figures = {
            "load": [product, mode, size, RATE],
            "rows": [first.rows.committed, second.rows.committed],
            "seconds": round(seconds),
            "busiest": busiest,
            "share_of_rate": round(share, 3),
            "share_of_429": round(stats["too_many_requests"] / stats["requests"], 4),
            "changed": unrest.done,
            "verified": [verified.compared, verified.rows_at_source, verified.rows_in_sink],
        }
        print(json.dumps(figures), flush=True)
        assert verified.state is RunState.SUCCEEDED, verified
        assert verified.missing == verified.surplus == verified.different == verified.doubled == 0
        assert share >= LEAST_SHARE, (busiest, share)
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
