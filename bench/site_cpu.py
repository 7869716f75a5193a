"""CPU of loads of Jira and Confluence Cloud, for each request and each row. The simulator is another process, and no limit is felt.

    python -m bench.site_cpu [jira] [confluence] [--rows 10000] [--rounds 5] [--slice 0]

The first round warms up (imports) and is not printed; the last line has the medians. `--slice`: issues or pages in a slice, instead of the default.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def site(product: str, rows: int) -> Any:
    from ingest_ray.simulators.atlassian import simulate

    options: dict[str, Any] = {"rate_limit": 0, "latency_ms": 10, "process": True, "frozen": True}
    if product == "jira":
        return simulate(issues=rows, projects=4, **options)
    return simulate("confluence", "cloud", pages=rows, spaces=1, **options)


def load(product: str, sim: Any, config: dict[str, Any]) -> dict[str, float]:
    from tests.strategies.confluence import site as confluence
    from tests.strategies.jira import site as jira

    module: Any = jira if product == "jira" else confluence
    with tempfile.TemporaryDirectory() as folder:
        lake = module.Lake(Path(folder), module.endpoint_of(sim, **config), inline_below=2**50)
        lake.collect()
        sim.reset_stats()
        before, began = cpu_s(), time.monotonic()
        summary = lake.run()
        cpu, wall_s = cpu_s() - before, time.monotonic() - began
    requests = sim.stats()["requests"]
    rows = summary.rows.committed
    return {
        "wall_s": wall_s,
        "cpu_s": cpu,
        "requests": requests,
        "slices": summary.slices.committed,
        "ms_a_request": 1000 * cpu / requests,
        "ms_a_row": 1000 * cpu / rows,
    }


def measure(product: str, given: argparse.Namespace) -> None:
    config = {"slice_issues" if product == "jira" else "slice_pages": given.slice} if given.slice else {}
    with site(product, given.rows) as sim:
        load(product, sim, config)
        rounds = [load(product, sim, config) for _ in range(given.rounds)]
    for number, found in enumerate(rounds):
        print_line(f"{product} {number + 1}", found)
    print_line(f"{product}, median", {name: median(found[name] for found in rounds) for name in rounds[0]})


def print_line(name: str, found: dict[str, float]) -> None:
    print(f"| {name} | {' | '.join(f'{value:.3g}' for value in found.values())} |", flush=True)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("products", nargs="*", default=[], help="jira, confluence")
    options.add_argument("--rows", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--slice", type=int, default=0)
    given = options.parse_args()
    print("| | wall s | CPU s | requests | slices | CPU ms a request | CPU ms a row |\n|---|---|---|---|---|---|---|")
    for product in given.products or ("jira", "confluence"):
        measure(product, given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
