"""The budget of one site, shared by runs in processes of their own: what they use of its limit, and how often they are refused.

    python -m bench.shared_budget [--processes 2] [--rate 6] [--issues 12000] [--ray]

Each process runs its own unit of one installation against one simulated Jira, which refuses with 429 above the rate. The second starts five
seconds after the first. `--ray`: one of them on a Ray of its own, the others in threads. Prints one line of JSON: the share of the
rate that was used while all were running (from five seconds after the last began), and the share of 429.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from ingest_ray.simulators.atlassian import Simulation, simulate
from tests.strategies.jira.site import Lake, endpoint_of

CHILD = """
import json, sys, time
from pathlib import Path
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.run import launch
order = RunOrder.model_validate_json(Path(sys.argv[1]).read_text())
began = time.time()
(summary,) = launch([order], lambda _: None, lambda: False)
end = {"began": began, "ended": time.time(), "state": summary.state, "rows": summary.rows.committed}
print(json.dumps(end | {"executor": summary.executor, "error": str(summary.error)}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rate", type=float, default=6.0)
    parser.add_argument("--issues", type=int, default=12_000)
    parser.add_argument("--projects", type=int, default=4)
    parser.add_argument("--ray", action="store_true")
    given = parser.parse_args()
    size = {"issues": given.issues, "projects": given.projects}
    with (
        simulate(mode="dc", rate_limit=given.rate, latency_ms=50.0, process=True, **size) as sim,
        tempfile.TemporaryDirectory() as folder,
    ):
        print(json.dumps(measured(sim, Path(folder), given)), flush=True)


def measured(sim: Simulation, folder: Path, given: argparse.Namespace) -> dict[str, object]:
    """Data Center counts all requests of a user together, so one number says what was used."""
    orders = [prepared(sim, folder, number, is_on_ray=given.ray and number == 0) for number in range(given.processes)]
    sim.reset_stats()
    begun, running = time.time(), []
    for path in orders:
        command = [sys.executable, "-c", CHILD, str(path)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        time.sleep(5.0)
    ends = [json.loads(child.communicate()[0].splitlines()[-1]) for child in running]
    if any(end["state"] != "SUCCEEDED" for end in ends):
        raise SystemExit(f"a run failed: {ends}")
    stats = sim.stats()
    first, last = (max(end["began"] for end in ends) - begun, min(end["ended"] for end in ends) - begun)
    together = slice(int(first) + 5, int(last) - 1)
    served = sum(stats["per_second"][together]) - sum(stats["per_second_429"][together])
    seconds = max(1, together.stop - together.start)
    return {
        "seconds_together": seconds,
        "share_of_rate": round(served / seconds / given.rate, 3),
        "requests": stats["requests"],
        "share_of_429": round(stats["too_many_requests"] / stats["requests"], 4),
        "per_second": stats["per_second"],
        "per_second_429": stats["per_second_429"],
        "ends": ends,
    }


def prepared(sim: Simulation, folder: Path, number: int, *, is_on_ray: bool) -> Path:
    """A file with the order of one run; all have one KV."""
    lake = Lake(folder / str(number), endpoint_of(sim), inline_below=0 if is_on_ray else 2**50)
    lake.collect()
    order = lake.order()
    shared = order.settings.model_copy(update={"kv_url": f"sqlite:///{folder}/shared.db"})
    unit = order.spec.endpoint.model_copy(update={"endpoint_id": f"jira{number}"})
    config = order.spec.config.model_copy(update={"endpoint_id": unit.endpoint_id})
    spec = order.spec.model_copy(update={"endpoint": unit, "config": config})
    path = folder / f"{number}.json"
    path.write_text(order.model_copy(update={"settings": shared, "spec": spec}).model_dump_json())
    return path


if __name__ == "__main__":
    main()
