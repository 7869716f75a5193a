"""Changes of a log, applied to a Delta table with partitions: values that the log does not repeat keep their row's partition."""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.sdk.changes import with_changes
from ingest_ray.sdk.types import Layout, WriteMode
from tests.sinks.layout.test_delta_layout import SCHEMA, LaidOutWorld, Unit, at, batch

CHANGES = with_changes(SCHEMA)
LAYOUT = Layout(partition_by=("month(at)", "truncate(1, text)", "bucket(2, id)"))
COMMITTED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class Log(Unit):
    """Applies changes, each as `(op, id, version, at, text, unchanged)`."""

    def apply(self, *changes: tuple[Any, ...]) -> None:
        names = ("_op", "id", "version", "at", "text", "_unchanged")
        moment = COMMITTED + dt.timedelta(seconds=self.slices)
        rows = [
            {**dict(zip(names, change, strict=True)), "_lsn": 1, "_seq": 1, "_commit_at": moment} for change in changes
        ]
        schema, self.schema = self.schema, CHANGES
        prepared = self.prepare(pa.RecordBatch.from_pylist(rows, schema=CHANGES))
        self.schema = schema
        self.commit(prepared)

    def divided(self) -> dict[Any, tuple[Any, ...]]:
        found = [row for row in self.world.read_all(self.target) if row.get("_is_current", True)]
        return {row["id"]: (row["at"], row["text"], row["at_month"], row["text_trunc_1"]) for row in found}


@pytest.mark.parametrize("write", [WriteMode.UPSERT, WriteMode.HISTORY])
def test_a_value_that_the_log_does_not_repeat_keeps_its_partition(tmp_path: Path, write: WriteMode) -> None:
    log = Log(LaidOutWorld(tmp_path / "lake", LAYOUT), write, schema=SCHEMA, version=None)
    log.commit(log.prepare(batch((1, 1, at(0), "apple"), (2, 1, at(1), "beet"), (3, 1, None, "corn")), first=True))
    log.apply(
        ("update", 1, 2, None, "banana", "0010"),
        ("update", 2, 2, at(5), None, "0001"),
        ("delete", 3, None, None, None, None),
        ("insert", 4, 1, at(2), "date", None),
    )
    expected = {
        1: (at(0), "banana", "2020-01", "b"),
        2: (at(5), "beet", "2020-06", "b"),
        4: (at(2), "date", "2020-03", "d"),
    }
    found = log.divided()
    if write is WriteMode.UPSERT:
        found.pop(3, None)  # a tombstone
    assert found == expected
    log.apply(("truncate", None, None, None, None, None), ("insert", 9, 1, None, "elder", None))
    assert log.divided()[9] == (None, "elder", None, "e")
