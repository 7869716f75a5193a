"""Real processes that die over an object store, staging and merges included: killed at a request that chance chooses, before or after it counts."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from ingest_ray.sdk.types import Endpoint, RunState, RunSummary
from ingest_ray.settings import StagingSettings
from tests.object_stores.conftest import Bucket
from tests.object_stores.proxy import Fault, Request, some
from tests.run.installation import Installation

ROOT = Path(__file__).parents[2]
ROWS = 600
STEP = 100  # of the source's clock, from one round to the next


class Lake:
    """A unit that upserts into a Delta table, with staging and quarantine in the same bucket."""

    def __init__(self, folder: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in (("S3_KEY", "key"), ("S3_SECRET", "secret")):
            monkeypatch.setenv(name, value)
        references = {"aws_access_key_id": "env:S3_KEY", "aws_secret_access_key": "env:S3_SECRET"}
        self.options = {**bucket.options, **references}
        self.bucket = bucket
        self.folder = folder
        self.now = 1_000
        self.changed: dict[str, int] = {}
        policy = {"cursor": "at", "write": "upsert", "primary_key": ["id"], "max_attempts": 20}
        self.made = Installation(folder, unit=f"numbers-2x{ROWS // 2}", policy=policy, source={})

    def change(self, chance: random.Random) -> None:
        """As many rows as a merge has in one round get a newer version."""
        self.now += STEP
        for key in chance.sample(range(ROWS), 40):
            self.changed[str(key)] = self.now - 1 - chance.randrange(STEP // 2)

    def run(self, kill_at: int | None = None, *, is_after: bool = False) -> RunSummary | None:
        """One run in a process of its own; None where it was killed at its request number `kill_at`."""
        self.made.source = {"slice_rows": 60, "now": self.now, "changed": self.changed, "bad": [7]}
        order = self.made.order()
        address: dict[str, Any] = {"storage_options": self.options}
        shared = order.settings.shared.model_copy(update={**address, "uri": f"{self.bucket.uri}/shared"})
        staging = StagingSettings(provider="files")
        lake = {"uri": f"{self.bucket.uri}/lake", "storage_options": {**self.bucket.options, "max_retries": "6"}}
        order = order.model_copy(
            update={
                "settings": order.settings.model_copy(update={"shared": shared, "staging": staging}),
                "sink": Endpoint(endpoint_id="lake", template="lake.delta", config=lake),
            }
        )
        file = self.folder / "order.json"
        file.write_text(order.model_dump_json())
        command = [sys.executable, "-W", "ignore", "-m", "tests.run.run_process", str(file)]
        with (self.folder / "run.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log)
        busy, seen = some(0.03, "busy"), 0

        def rule(request: Request) -> Fault | None:
            nonlocal seen
            seen += 1
            if seen == kill_at:
                process.send_signal(signal.SIGKILL)
                return "lost" if is_after else "denied"
            return busy(request)

        self.bucket.proxy.rule = rule
        out, _ = process.communicate(timeout=300)
        self.bucket.proxy.rule = lambda _: None
        if process.returncode == -signal.SIGKILL:
            return None
        assert process.returncode == 0, (self.folder / "run.log").read_text()[-4000:]
        return RunSummary.model_validate_json(out.splitlines()[-1])

    def rows(self) -> dict[int, int]:
        """The version of every row; each key is there once."""
        options = {**self.bucket.options, "aws_endpoint": self.bucket.client.meta.endpoint_url}
        table = DeltaTable(f"{self.bucket.uri}/lake/e/{self.made.unit}", storage_options=options).to_pyarrow_table()
        found = dict(zip(table["id"].to_pylist(), table["at"].to_pylist(), strict=True))
        assert len(found) == table.num_rows
        return found

    def expected(self) -> dict[int, int]:
        return {key: self.changed.get(str(key), 0) for key in range(ROWS) if key != 7}


def campaign(lake: Lake, rounds: int, seed: int) -> tuple[int, int]:
    """Returns how many processes were killed, and how many rows were compared."""
    chance, killed, compared = random.Random(seed), 0, 0
    for number in range(rounds):
        if number:
            lake.change(chance)
        before = len(lake.bucket.proxy.requests)
        for _ in range(chance.choice((1, 1, 2))):
            killed += lake.run(chance.randrange(1, 60), is_after=chance.random() < 0.5) is None
        summary = lake.run()
        assert summary is not None
        assert summary.state is RunState.SUCCEEDED, summary.error
        found, expected = lake.rows(), lake.expected()
        assert found == expected, {key: (found.get(key), at) for key, at in expected.items() if found.get(key) != at}
        compared += len(found)
        print(number, killed, len(lake.bucket.proxy.requests) - before, flush=True)
    staged = [key for key in lake.bucket.listed() if key.startswith("shared/staging")]
    assert staged == []
    return killed, compared


@pytest.mark.faults
@pytest.mark.timeout(3000)
def test_killed_loads_and_merges_leave_every_row_once(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = int(os.environ.get("KILLED_ROUNDS", "6"))
    lake = Lake(tmp_path, bucket, monkeypatch)
    killed, compared = campaign(lake, rounds, seed=int(os.environ.get("KILLED_SEED", "1")))
    print(f"{killed} processes were killed in {rounds} rounds, {compared} rows compared")
    assert killed >= rounds // 2
