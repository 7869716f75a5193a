from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_layout import target_of
from ingest_ray.quarantine.rejected_rows import list_quarantine
from ingest_ray.sdk.types import Endpoint, RunMode, RunState
from ingest_ray.sinks.databases.table_names import unit_table_name
from tests.run.installation import Installation


def test_c28_a_backfill_reads_its_interval_again_and_leaves_the_watermark_alone(tmp_path: Path) -> None:
    there = Installation(tmp_path, source={"changed": {"7": 10, "8": 20, "9": 30}})
    there.run()
    before = there.run().watermarks
    there.forget_reads()
    there.source["changed"] = {"7": 11, "8": 20, "9": 30}  # a late change below the watermark
    summary = there.run(there.order(task="backfill", lower="10", upper="21"))
    assert summary.state is RunState.SUCCEEDED
    assert summary.rows.read == 2
    assert there.reads() == ["read backfill 0 [10, 21]"]
    assert summary.watermarks == before
    assert {row["id"]: row["at"] for row in there.lake().to_pylist()}[7] == 11
    assert there.ids() == there.expected_ids()
    assert there.run().rows.read == 0


def test_c28_a_backfill_keeps_what_an_unfinished_load_has_done(tmp_path: Path) -> None:
    there = Installation(tmp_path, source={"faults": {"0:500": ["denied"]}})
    assert there.run().state is RunState.FAILED
    there.run(there.order(task="backfill", lower="0", upper="5"))
    there.forget_reads()
    assert there.run().state is RunState.SUCCEEDED
    assert there.reads() == ["read load 0 [500, 750]"]


def test_c70_rejected_rows_keep_their_raw_value_close_the_ledger_and_can_be_replayed(tmp_path: Path) -> None:
    there = Installation(tmp_path, source={"bad": [3, 700]})
    first = there.run()
    assert first.state is RunState.SUCCEEDED
    assert (first.rows.read, first.rows.committed, first.rows.quarantined) == (2000, 1998, 2)
    root = there.settings.quarantine_uri
    assert [entry.rows for entry in list_quarantine(root)] == [1, 1]

    still_bad = there.run(there.order(task="replay"))
    assert (still_bad.rows.read, still_bad.rows.committed, still_bad.rows.quarantined) == (2, 0, 2)
    assert sum(entry.rows for entry in list_quarantine(root)) == 2

    there.source = {"bad": [3], "bad_at": "77"}
    again = there.run(there.order(task="backfill", lower="0", upper="1"))
    assert again.rows.quarantined == 0  # key 3 is not among the changed rows
    there.policy = {"cursor": "at"}
    for entry in list_quarantine(root):
        path = Path(entry.uri)
        path.write_text(path.read_text().replace('"soon"', '"77"'))  # a person mends the value
    mended = there.run(there.order(task="replay"))
    assert (mended.rows.read, mended.rows.committed, mended.rows.quarantined) == (2, 2, 0)
    assert there.ids() == there.expected_ids()
    assert list_quarantine(root) == []


def test_more_rejected_rows_than_the_policy_allows_end_the_run(tmp_path: Path) -> None:
    policy = {"cursor": "at", "max_quarantined_rows": 3}
    there = Installation(tmp_path, policy=policy, source={"bad": list(range(10))})
    summary = there.run()
    assert summary.state is RunState.FAILED
    assert summary.error is not None
    assert summary.error.code == "E_QUARANTINE_LIMIT"
    assert list_quarantine(there.settings.quarantine_uri) == []


@pytest.mark.parametrize("write", ["append"])
def test_a_replay_into_an_append_is_refused(tmp_path: Path, write: str) -> None:
    there = Installation(tmp_path, policy={"cursor": "at", "write": write}, source={"bad": [1]})
    there.run()
    summary = there.run(there.order(task="replay"))
    assert summary.state is RunState.FAILED
    assert summary.error is not None
    assert summary.error.code == "E_BAD_INPUT"


@dataclass
class FullUpsert(Installation):
    """A unit without a cursor, which upserts into a lake or a file of SQLite or DuckDB."""

    unit: str = "numbers-1x20"
    mode: RunMode = RunMode.FULL
    policy: dict[str, Any] = field(default_factory=lambda: {"write": "upsert"})
    scheme: str = ""

    def order(self, **task: str) -> RunOrder:
        order = super().order(**task)
        if not self.scheme:
            return order
        url = f"{self.scheme}:///{self.folder}/rows.db"
        return order.model_copy(update={"sink": Endpoint(endpoint_id="lake", template="sql", config={"url": url})})

    def row_7(self) -> dict[str, Any]:
        if self.scheme:
            order = self.order()
            table = unit_table_name(target_of(order))
            engine = create_engine(str(order.sink.config["url"]), poolclass=NullPool)
            with engine.connect() as connection:
                rows = [dict(row._mapping) for row in connection.execute(text(f"select * from {table}"))]
        else:
            rows = self.lake().to_pylist()
        (row,) = [row for row in rows if row["id"] == 7]
        return row


@pytest.mark.parametrize("scheme", ["", "sqlite"])
def test_a_replayed_row_of_a_full_upsert_does_not_overwrite_a_newer_one(tmp_path: Path, scheme: str) -> None:
    there = FullUpsert(tmp_path, scheme=scheme, source={"changed": {"7": 10}, "bad": [7], "bad_at": "10"})
    assert there.run().rows.quarantined == 1
    there.source = {"changed": {"7": 900}}
    there.run()
    assert there.row_7()["at"] == 900
    replayed = there.run(there.order(task="replay"))
    assert (replayed.state, replayed.rows.read, replayed.rows.deduplicated) == (RunState.SUCCEEDED, 1, 1)
    assert there.row_7()["at"] == 900, "the row of the quarantine was read before"
    assert list_quarantine(there.settings.quarantine_uri) == []


@pytest.mark.parametrize("scheme", ["", "sqlite"])
def test_a_replayed_row_of_a_full_upsert_overwrites_an_older_one(tmp_path: Path, scheme: str) -> None:
    there = FullUpsert(tmp_path, scheme=scheme, source={"changed": {"7": 10}})
    there.run()
    for at in ("20", "30"):
        there.source = {"changed": {"7": int(at)}, "bad": [7], "bad_at": at}
        there.run()
    assert there.run(there.order(task="replay")).rows.quarantined == 0
    assert there.row_7()["at"] == 30, "of two rejected versions the one that was read later"
    there.source = {"changed": {"7": 5}}
    there.run()
    assert there.row_7()["at"] == 5, "a run that reads all has no order but its own"
