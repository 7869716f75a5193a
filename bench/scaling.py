"""Throughput by readers and by nodes, where the source and not this machine is the limit, beside what docs/scaling.md predicts.

    python -m bench.scaling database --rows 100000 --mb-per-s 1 --latency-ms 50
    python -m bench.scaling site --pages 100000 --latency-ms 200 [--limit 40] [--readers-per-node 6]

`database`: lineitem through a socket that gives each connection so many MB/s, with 1, 2, 4 and 8 readers: threads of one process, and
Ray with two nodes. `site`: a simulated space of Confluence without a felt limit, read from 1, 2 and 4 nodes, then from 4 with a limit.
The planner lists the pages of a space meanwhile, from both ends, which nodes cannot quicken. `requests/s`: of the slices, from the
first to the last second that had more requests than the listing makes.
Nodes are those of `ray.cluster_utils`: processes of this machine. They show scaling because readers wait; where they compute, they
share its cores.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
READERS = (1, 2, 4, 8)
NODES = (1, 2, 4)
HEAD = {"num_cpus": 0}


def measure_database(folder: Path, rows: int, mb_per_s: float, latency_s: float, numbers: list[int]) -> None:
    from bench.ingest_command import INGEST, empty_folder, prepare
    from bench.lineitem import serve_lineitem
    from bench.measure import measured
    from bench.side_by_side import document
    from bench.throttled_socket import ThrottledSocket
    from tests.cluster.nodes import Nodes

    url = serve_lineitem(folder / "pg", rows)
    there = ThrottledSocket(folder / "pg", folder / "far", mb_per_s * 1e6, latency_s)
    url = url.replace(str(folder / "pg"), str(there.folder))
    nodes = Nodes(HEAD, {"num_cpus": 4}, {"num_cpus": 4})
    print(
        "| readers | where | MB | answers | MB/s | predicted | run s | CPU s |\n|---|---|---|---|---|---|---|---|",
        flush=True,
    )
    alone: float | None = None  # what one reader in a thread gets: the prediction's only measured part
    os.environ |= {key: nodes.environment[key] for key in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    try:
        for readers in numbers:
            for name in ("threads", "Ray, two nodes"):
                ray = f"{{inline_below: {2**40}, inline_threads: {readers}}}"
                if name != "threads":
                    ray = f'{{inline_below: 0, address: "{nodes.address}", readers: {readers}}}'
                text = document(url, ray).replace("33554432", "1048576")  # slices for eight readers
                home = prepare(empty_folder(folder / "out"), text)
                there.forget()
                done = measured([INGEST, "run", "shop", "--json"], home)
                unit = json.loads(done.out)["units"][0]
                if unit["rows"]["committed"] != rows:
                    raise SystemExit(f"rows are missing: {unit['rows']}")
                size, questions = there.answered_bytes / 1e6, there.questions
                alone = alone or 1 / (1 / mb_per_s + questions * latency_s / size)
                print(
                    f"| {readers} | {name} ({unit['executor']}) | {size:.0f} | {questions} | {there.steady_bytes_per_s() / 1e6:.2f} "
                    f"| {readers * alone:.2f} | {unit['seconds']:.1f} | {done.cpu_s:.1f} |",
                    flush=True,
                )
    finally:
        nodes.close()
        there.close()


def measure_site(folder: Path, pages: int, latency_ms: float, limit: float, per_node: int) -> None:
    from ingest_ray.simulators.atlassian import simulate
    from tests.cluster.nodes import Nodes

    print(
        "| nodes | readers | limit | requests | run s | of them listed | requests/s of slices | most in a second | 429 |"
    )
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for count, rate in [*((count, 0.0) for count in NODES), (NODES[-1], limit)]:
        options: dict[str, Any] = {"rate_limit": rate, "latency_ms": latency_ms, "process": True}
        nodes = Nodes(HEAD, *[{"num_cpus": 1}] * count)
        try:
            with simulate("confluence", "cloud", pages=pages, spaces=1, **options) as sim:
                summary = load(folder / f"{count}-{rate:.0f}", sim, nodes, count * per_node)
                stats = sim.stats()
        finally:
            nodes.close()
        listed = sum(count for path, count in stats["endpoints"].items() if "/spaces" in path)
        busy = seconds_of_slices(stats["per_second"], 4 * 1000 / latency_ms)
        print(
            f"| {count} | {count * per_node} | {rate or 'none'} | {stats['requests']} | {summary['seconds']:.1f} | {listed} "
            f"| {(stats['requests'] - listed) / busy:.1f} | {max(stats['per_second'])} | {stats['too_many_requests']} |",
            flush=True,
        )
        print(f"per second: {stats['per_second']}", file=sys.stderr, flush=True)


def seconds_of_slices(per_second: list[int], listing_rate: float) -> int:
    """From the first to the last second with more requests than `listing_rate`: pages and posts are listed from two ends each."""
    busy = [number for number, requests in enumerate(per_second) if requests > listing_rate]
    return busy[-1] - busy[0] + 1 if busy else max(1, len(per_second))


def load(folder: Path, sim: Any, nodes: Any, readers: int) -> dict[str, Any]:
    """One run of all pages, in a driver of its own; its rows are checked."""
    from ingest_ray.sdk.types import RunMode
    from tests.strategies.confluence.site import Lake, endpoint_of

    folder.mkdir(parents=True)
    lake = Lake(folder, endpoint_of(sim), inline_below=0, mode=RunMode.FULL)
    order = lake.order()
    sim.reset_stats()
    ray = order.settings.ray.model_copy(update={"address": nodes.address, "readers": readers})
    order = order.model_copy(update={"settings": order.settings.model_copy(update={"ray": ray})})
    (folder / "order.json").write_text(order.model_dump_json())
    command = [sys.executable, "-W", "ignore", "-m", "tests.run.run_process", str(folder / "order.json")]
    done = subprocess.run(
        command, cwd=ROOT, env=nodes.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if summary["state"] != "SUCCEEDED" or summary["executor"] != "ray":
        raise SystemExit(f"the run did not succeed on Ray: {summary}")
    return summary


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("what", choices=("database", "site"))
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument(
        "--readers", type=int, nargs="+", default=READERS, help="the first one is what the others are predicted from"
    )
    options.add_argument("--mb-per-s", type=float, default=1.0)
    options.add_argument("--latency-ms", type=float, default=50.0)
    options.add_argument("--pages", type=int, default=100_000)
    options.add_argument("--limit", type=float, default=40.0)
    options.add_argument("--readers-per-node", type=int, default=6)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale", dir="/tmp") as name:
        if given.what == "database":
            measure_database(Path(name), given.rows, given.mb_per_s, given.latency_ms / 1000, given.readers)
        else:
            measure_site(Path(name), given.pages, given.latency_ms, given.limit, given.readers_per_node)
    return 0


if __name__ == "__main__":
    sys.exit(main())
