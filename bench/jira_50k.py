"""Lands 50,000 simulated issues with comments in Delta under a limit of 50 requests per second and 100 ms latency.

    python bench/jira_50k.py [--issues 50000] [--projects 20] [--rate 50] [--latency-ms 100] [--inline] [--readers 6] [--unit jira.issues] [--check]

Prints one JSON line per run: rows, seconds, the share of the allowed rate that was used (over all of the run, and without
the start of Ray and its workers), the share of 429s, and the CPU seconds of this process and of the simulator's (those of Ray are
not in it). The second run follows a change of 1 % of the issues. `--check` compares every field with the simulator's expected records.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from ingest_ray.simulators.atlassian import Simulation, simulate
from tests.strategies.jira.site import Lake, assert_exact, endpoint_of


def measured(sim: Simulation, lake: Lake, rate: float, name: str) -> None:
    sim.reset_stats()
    started, before = time.monotonic(), cpu_s()
    summary = lake.run()
    seconds = time.monotonic() - started
    client, simulator = (round(after - then, 2) for after, then in zip(cpu_s(), before, strict=True))
    stats = sim.stats()
    made = report(name, summary.model_dump(mode="json"), stats, seconds, rate)
    print(json.dumps(made | {"client_cpu_s": client, "simulator_cpu_s": simulator}), flush=True)


def cpu_s() -> tuple[float, float]:
    """User and system time of this process and of the simulator."""
    own = psutil.Process()
    simulator = next(child for child in own.children() if "ingest_ray.simulators.atlassian" in child.cmdline())
    client, server = own.cpu_times(), simulator.cpu_times()
    return client.user + client.system, server.user + server.system


def report(name: str, summary: dict, stats: dict, seconds: float, rate: float) -> dict:  # type: ignore[type-arg]
    """The share of the rate is taken over the seconds from the first to the last request, as the server counted them."""
    busy = [n for n, count in enumerate(stats["per_second"]) if count]
    reading_s = busy[-1] - busy[0] + 1 if busy else 0
    ok = stats["requests"] - stats["too_many_requests"]
    # From the last second without a request: before it, Ray and its workers start.
    counts = stats["per_second"][:-1]
    idle = [n for n, count in enumerate(counts) if not count]
    steady = counts[idle[-1] + 1 if idle else 0 :]
    return {
        "run": name,
        "executor": summary["executor"],
        "state": summary["state"],
        "error": summary["error"],
        "rows": summary["rows"],
        "slices": summary["slices"]["planned"],
        "seconds": round(seconds, 1),
        "reading_s": reading_s,
        "requests": stats["requests"],
        "requests_per_s": round(ok / reading_s, 1) if reading_s else 0,
        "share_of_rate": round(ok / reading_s / rate, 3) if reading_s and rate else None,
        "share_of_rate_after_start": round(sum(steady) / len(steady) / rate, 3) if steady and rate else None,
        "share_of_429": round(stats["too_many_requests"] / max(1, stats["requests"]), 4),
        "peak_concurrency": stats["peak_concurrency"],
        "phases": summary["phases"],
        "per_second": stats["per_second"],
        "endpoints": stats["endpoints"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--issues", type=int, default=50_000)
    parser.add_argument("--projects", type=int, default=20)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--latency-ms", type=float, default=100.0)
    parser.add_argument("--unit", default="jira.issues")
    parser.add_argument("--inline", action="store_true")
    parser.add_argument("--readers", type=int)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    options = {"rate_limit": given.rate, "latency_ms": given.latency_ms, "process": True}
    with (
        simulate(issues=given.issues, projects=given.projects, **options) as sim,
        tempfile.TemporaryDirectory() as folder,
    ):
        below = 2**50 if given.inline else 0
        lake = Lake(Path(folder), endpoint_of(sim), unit=given.unit, inline_below=below, readers=given.readers)
        lake.collect()
        measured(sim, lake, given.rate, "first")
        if given.check:
            assert_exact(lake, sim)
            print(json.dumps({"check": "every field equal"}), flush=True)
        sim.mutate("update", count=given.issues // 100, seed=1)
        sim.advance_clock(3600)
        measured(sim, lake, given.rate, "after 1 % changed")


if __name__ == "__main__":
    main()
