"""How long reads of status take with 10,000 units and 1,000 runs: `python -m bench.status_reads`.

Through HTTP, authentication and GraphQL, on an embedded catalog; one caller. CPU is that of the process, caller included.
"""

import statistics
import tempfile
import time
from pathlib import Path

from starlette.testclient import TestClient

from ingest_ray.server.app import build_app
from ingest_ray.service.access.roles import Role
from ingest_ray.service.access.tokens import create_token
from ingest_ray.service.installation import Installation
from ingest_ray.settings import ScheduleSettings, ServeSettings, Settings
from ingest_ray.testing.filled_catalog import filled

ENDPOINTS, UNITS, RUNS = 5, 2_000, 200  # 10,000 units and 1,000 runs
REPEATS = 40
STATUS = "endpointId unitId sinkId state lastRunId lastRunAt lastError stats"
READS = {
    "one unit": '{ ingestionStatus(endpointId: "e3", unitId: "u00042") { ' + STATUS + " checkpoint } }",
    "page of 100 units": '{ ingestionStatuses(endpointId: "e3", first: 100, after: "u00100") { ' + STATUS + " } }",
    "page of 100 with checkpoints": '{ ingestionStatuses(endpointId: "e3", first: 100) { unitId state checkpoint } }',
    "endpoint of 2,000 units": '{ ingestionStatuses(endpointId: "e3") { endpointId unitId sinkId state lastRunId lastError } }',
    "100 newest runs": "{ ingestionRuns(first: 100) { edges { node { id unitId state rows { committed } error { code } } } pageInfo { hasNextPage } } }",
    "all endpoints": "{ endpoints { id name isDeleted runs(limit: 1) { status completedAt } } }",
}


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        installation = Installation(
            Settings(
                home=home,
                state_url=f"sqlite:///{Path(home) / 'state.db'}",
                serve=ServeSettings(requests_per_minute=10**6, schedules=ScheduleSettings(enabled=False)),
            )
        )
        filled(installation, ENDPOINTS, UNITS, RUNS)
        token = create_token(installation, "bench", Role.VIEWER).token
        with TestClient(
            build_app(installation, has_console=False), headers={"Authorization": f"Bearer {token}"}
        ) as http:
            print(f"{ENDPOINTS * UNITS} units, {ENDPOINTS * RUNS} runs, {REPEATS} reads each")
            for name, query in READS.items():
                before = time.process_time()
                times = sorted(_timed(http, query) for _ in range(REPEATS))
                cpu = (time.process_time() - before) / REPEATS * 1e3
                median, p95 = statistics.median(times) * 1e3, times[int(REPEATS * 0.95) - 1] * 1e3
                print(f"{name:30} median {median:6.1f} ms   p95 {p95:6.1f} ms   CPU {cpu:6.1f} ms")


def _timed(http: TestClient, query: str) -> float:
    started = time.perf_counter()
    answer = http.post("/graphql", json={"query": query})
    seconds = time.perf_counter() - started
    assert "errors" not in answer.json(), answer.text[:500]
    return seconds


if __name__ == "__main__":
    main()
