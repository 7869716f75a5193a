"""A run that is killed around the manifest and the pointer of a commit: readers see whole commits, and the next run every row once."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.sdk.types import Endpoint, RunMode, RunState
from tests.run.installation import Installation
from tests.run.test_killed import killed_at

pytestmark = pytest.mark.slow
STEPS = ["sink:in-commit", "parquet:before-manifest", "parquet:before-pointer", "sink:after-commit"]


def read_by_pointer(there: Installation, column: str = "id") -> Counter[Any]:
    """The values that a reader finds who knows only `current.json`."""
    folder = there.folder / "lake" / "e" / there.unit
    pointer = folder / "current.json"
    if not pointer.exists():
        return Counter()
    names = json.loads(pointer.read_text())["files"]
    return Counter(value for name in names for value in pq.read_table(folder / name).column(column).to_pylist())


@pytest.fixture
def parquet(monkeypatch: pytest.MonkeyPatch) -> None:
    def order(self: Installation, **task: str) -> RunOrder:
        sink = Endpoint(endpoint_id="lake", template="lake.parquet", config={"uri": str(self.folder / "lake")})
        return made(self, **task).model_copy(update={"sink": sink})

    made = Installation.order
    monkeypatch.setattr(Installation, "order", order)


@pytest.mark.usefixtures("parquet")
@pytest.mark.parametrize("step", STEPS)
def test_appended_rows_are_there_once_after_a_kill(tmp_path: Path, step: str) -> None:
    there = Installation(tmp_path, unit="numbers-2x400", policy={"cursor": "at", "write": "append"})
    killed_at(there, f"{step}@{4 if step.startswith('parquet') else 2}")
    shown = read_by_pointer(there)
    assert shown <= there.expected_ids()
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert read_by_pointer(there) == there.expected_ids()


@pytest.mark.usefixtures("parquet")
@pytest.mark.parametrize("step", STEPS)
def test_a_killed_replacement_shows_the_old_rows_or_the_new_ones(tmp_path: Path, step: str) -> None:
    there = Installation(tmp_path, mode=RunMode.FULL, policy={}, source={"now": 1})
    assert there.run().state is RunState.SUCCEEDED
    there.source = {"changed": {str(key): 5 for key in range(2000)}}
    killed_at(there, f"{step}@2" if step.startswith("parquet") else step)
    assert read_by_pointer(there) == there.expected_ids()
    assert set(read_by_pointer(there, "at")) in ({0}, {5})
    assert there.run().state is RunState.SUCCEEDED
    assert read_by_pointer(there) == there.expected_ids()
    assert set(read_by_pointer(there, "at")) == {5}
