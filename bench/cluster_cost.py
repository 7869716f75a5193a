"""What runs cost on a cluster: processes that are started, and seconds of CPU of the head, the nodes, the driver and all workers.

    python -m bench.cluster_cost job workflow confluence [--rounds 3] [--units 30] [--pages 5000]

`job`: a table of 1,000 rows as a Ray job on a warm head, from the request until the record has its end.
`workflow`: so many small units through `endpointIngestionWorkflow`, with a Temporal server and a worker.
`confluence`: a space of so many pages, in threads of one process, and by readers on two nodes of `ray.cluster_utils`.

CPU and processes are taken from /proc twenty times a second: what a process uses between the last look and its end is not in them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOOK_S = 0.05
LISTED = 8
TICKS = os.sysconf("SC_CLK_TCK")
CHILD = "import sys, json; from bench.cluster_cost import load_pages; load_pages(*json.loads(sys.argv[1]))"


@dataclass
class Cost:
    wall_s: float = 0.0
    cpu_s: float = 0.0
    started: list[tuple[str, float]] = field(default_factory=list)
    """Name and seconds of CPU of each process that was not there before."""

    def line(self, what: str, more: str = "") -> str:
        largest = sorted(self.started, key=lambda one: -one[1])[:LISTED]
        names = ", ".join(f"{Path(name).name} {cpu:.1f}" for name, cpu in largest)
        return f"| {what} | {self.wall_s:.2f} | {self.cpu_s:.2f} | {len(self.started)} | {more} {names} |"


class Family:
    """All processes whose environment has a mark, which they inherit from whoever started them."""

    def __init__(self, mark: str) -> None:
        self._mark = mark.encode()
        self._known: dict[int, bool] = {}

    def look(self) -> dict[int, tuple[float, str]]:
        """Seconds of CPU and the name of each living process."""
        found = {}
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit():
                continue
            pid = int(entry.name)
            try:
                if pid not in self._known:
                    self._known[pid] = self._mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                if self._known[pid]:
                    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                    command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
                    found[pid] = ((int(fields[11]) + int(fields[12])) / TICKS, command)
            except OSError:
                continue
        return found


@contextmanager
def counted(family: Family) -> Iterator[Cost]:
    cost, ended = Cost(), threading.Event()
    before = family.look()
    seen = dict(before)

    def look() -> None:
        while not ended.wait(LOOK_S):
            merge(seen, family.look())

    began = time.monotonic()
    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield cost
    finally:
        cost.wall_s = time.monotonic() - began
        ended.set()
        watcher.join()
        merge(seen, family.look())
        cost.cpu_s = sum(cpu for cpu, _ in seen.values()) - sum(cpu for cpu, _ in before.values())
        cost.started = [(name, cpu) for pid, (cpu, name) in seen.items() if pid not in before]


def merge(seen: dict[int, tuple[float, str]], found: dict[int, tuple[float, str]]) -> None:
    """A worker process keeps the name of what it did last."""
    for pid, (cpu, name) in found.items():
        known = seen.get(pid)
        is_idle = name in ("ray::IDLE", "") and known is not None
        seen[pid] = (cpu, known[1].partition(".")[0] if is_idle and known is not None else name)


def until(is_so: Callable[[], bool], within_s: float = 300.0) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > deadline:
            raise SystemExit("it did not end in time")
        time.sleep(0.02)


def measure_job(folder: Path, rounds: int) -> None:
    from ingest_ray.sdk.refs import UnitRef
    from ingest_ray.service.units.reset import reset
    from tests.temporal.servers import RayHead

    head = RayHead(cpus=2)
    try:
        family = Family(f"RAY_AUTH_TOKEN={head.token}")
        workspace = scripted_workspace(folder, head, None, ["numbers-1x1000"], "ray-job")
        for number in range(rounds + 1):
            cost, summary = measured_job(workspace, family)
            if number:  # the first one warms the head up
                print(cost.line(f"1,000 rows as a job, {summary.executor}"), flush=True)
            reset(workspace.installation, UnitRef("shop", "numbers-1x1000"))
    finally:
        head.close()


def measured_job(workspace: Any, family: Family) -> tuple[Cost, Any]:
    from ingest_ray.sdk.types import RunState
    from ingest_ray.service.launching import launcher_for
    from ingest_ray.service.runs.admission import RunRequest

    launcher = launcher_for(workspace.installation)
    with counted(family) as cost:
        run_id = launcher.start(workspace.installation, RunRequest(endpoint_id="shop", unit_id="numbers-1x1000"))
        until(lambda: launcher.state(workspace.installation, run_id) is not RunState.RUNNING)
        began = time.monotonic()
        time.sleep(1.0)  # its processes end
        waited_s = time.monotonic() - began
    cost.wall_s -= waited_s
    summary = workspace.record("numbers-1x1000")
    if summary is None or summary.state is not RunState.SUCCEEDED:
        raise SystemExit(f"the run did not succeed: {summary}")
    return cost, summary


def scripted_workspace(folder: Path, head: Any, server: Any, units: list[str], launcher: str) -> Any:
    from types import SimpleNamespace

    from tests.temporal.worker_workspace import WorkerWorkspace

    endpoint = {"template": "testing.scripted", "config": {"units": units, "journal": str(folder / "journal")}}
    rule = {"run_mode": "INCREMENTAL", "policy": {"cursor": "at"}}
    there = server or SimpleNamespace(address="127.0.0.1:1")
    return WorkerWorkspace(folder, head, there, endpoint, rule, launcher=launcher).set_up()


def measure_workflow(folder: Path, units: int) -> None:
    from ingest_ray.payloads.contract import ENDPOINT
    from ingest_ray.payloads.documents import EndpointCommand
    from tests.temporal.servers import RayHead, TemporalServer

    names = [f"numbers-1x{1000 + number}" for number in range(units)]
    head, server = RayHead(cpus=2), TemporalServer(folder)
    os.environ["BENCH_FAMILY"] = head.token
    try:
        cluster, worker = Family(f"RAY_AUTH_TOKEN={head.token}"), Family(f"BENCH_FAMILY={head.token}")
        workspace = scripted_workspace(folder, head, server, names, "temporal")
        with workspace.worker(), counted(cluster) as cost:

            async def go(client: Any) -> Any:
                command = EndpointCommand(endpoint_id="shop")
                return await client.execute_workflow(
                    ENDPOINT, command, id=f"all-{folder.name}", task_queue=workspace.queue
                )

            workspace.with_client(go)
            worker_s = sum(cpu for cpu, _ in worker.look().values())
        rows = sum(sum(workspace.ids(name).values()) for name in names)
        print(cost.line(f"{units} units, {rows} rows", f"and {worker_s:.1f} s of the worker"), flush=True)
    finally:
        server.kill()
        head.close()


def load_pages(folder: str, endpoint: str, inline: bool, address: str) -> None:
    """In a process of its own: one run of all pages of the site."""
    from ingest_ray.run import launch
    from ingest_ray.sdk.types import Endpoint, RunMode
    from tests.strategies.confluence.site import Lake

    lake = Lake(
        Path(folder), Endpoint.model_validate_json(endpoint), inline_below=2**50 if inline else 0, mode=RunMode.FULL
    )
    order = lake.order()
    ray = order.settings.ray.model_copy(update={"address": address})
    order = order.model_copy(update={"settings": order.settings.model_copy(update={"ray": ray})})
    (summary,) = launch([order], lambda _: None, lambda: False)
    print(summary.model_dump_json())


def measure_confluence(folder: Path, pages: int, rounds: int, latency_ms: float) -> None:
    from ingest_ray.simulators.atlassian import simulate
    from tests.cluster.nodes import Nodes
    from tests.strategies.confluence.site import endpoint_of

    nodes = Nodes({"num_cpus": 0}, {"num_cpus": 1}, {"num_cpus": 1})
    mark = {"BENCH_FAMILY": nodes.environment["RAY_AUTH_TOKEN"]}
    try:
        with simulate(
            "confluence", "cloud", pages=pages, spaces=1, rate_limit=0, latency_ms=latency_ms, process=True
        ) as sim:
            for number in range(rounds):
                for name, family, address in (
                    ("threads", Family(f"BENCH_FAMILY={mark['BENCH_FAMILY']}"), "local"),
                    ("two nodes", Family(f"RAY_AUTH_TOKEN={mark['BENCH_FAMILY']}"), nodes.address),
                ):
                    here = folder / f"{name}-{number}"
                    here.mkdir(parents=True)
                    given = json.dumps([str(here), endpoint_of(sim).model_dump_json(), name == "threads", address])
                    environment = (os.environ | mark) if name == "threads" else nodes.environment
                    child: dict[str, Any] = {}
                    with counted(family) as cost:
                        process = subprocess.Popen(
                            [sys.executable, "-W", "ignore", "-c", CHILD, given],
                            env=environment,
                            stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL,
                        )
                        out, _ = process.communicate()
                        child = json.loads(out.splitlines()[-1])
                        if name == "two nodes":
                            time.sleep(2.0)  # its processes end, and are waited for
                    rows = child["rows"]["committed"]
                    print(cost.line(f"{rows} pages, {name}, {child['executor']}: {child['seconds']:.1f} s"), flush=True)
    finally:
        nodes.close()


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("what", nargs="+", choices=("job", "workflow", "confluence"))
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--units", type=int, default=30)
    options.add_argument("--pages", type=int, default=5000)
    options.add_argument("--latency-ms", type=float, default=20.0)
    given = options.parse_args()
    print("| what | wall s | CPU s | processes started | their CPU s |\n|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="cost") as name:
        for what in given.what:
            folder = Path(name) / what
            folder.mkdir()
            if what == "job":
                measure_job(folder, given.rounds)
            elif what == "workflow":
                measure_workflow(folder, given.units)
            else:
                measure_confluence(folder, given.pages, given.rounds, given.latency_ms)
    return 0


if __name__ == "__main__":
    sys.exit(main())
