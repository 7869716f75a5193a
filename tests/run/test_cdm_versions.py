"""An older version of a row never overwrites a newer one in a CDM model, whatever orders the versions, and from wherever the older one comes."""

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.cdm.models import READ_VERSIONS
from ingest_ray.engine.steps.source_keys import source_versions
from ingest_ray.engine.steps.unit_layout import unit_key_of
from ingest_ray.kv import open_state
from ingest_ray.quarantine.rejected_rows import list_quarantine
from ingest_ray.sdk.types import RunMode, RunState
from ingest_ray.state import reset_state
from tests.run.test_cdm import BAD, COMMENT, MAPPING, CdmInstallation

pytestmark = pytest.mark.slow

READ_AT = 1_700_000_000_000_000

CURSORS: list[tuple[pa.DataType, list[Any]]] = [
    (
        pa.string(),
        ["1969-12-31 23:59:59", "2024-02-29", "2024-03-01 10:00:00", "2024-03-01 10:00:00.5", "2024-03-01T10:00:01Z"],
    ),
    (pa.string(), ["2024-03-01T10:00:00+02:00", "2024-03-01T09:00:00+00:00"]),
    (pa.timestamp("ns"), [datetime(2024, 1, 1), datetime(2024, 1, 1, 0, 0, 1)]),
    (pa.timestamp("s", "UTC"), [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)]),
    (pa.date32(), [date(1960, 1, 1), date(2024, 1, 1)]),
    (pa.int64(), [-5, 0, 7, 2**62]),
    (pa.uint64(), [0, 7, 2**63 - 1]),
    (pa.float64(), [-1.5, 0.0, 1700000000.25, 1700000000.5, 1e300]),
    (
        pa.decimal128(20, 4),
        [Decimal("-0.5"), Decimal("0.0001"), Decimal("1700000000.1234"), Decimal("1700000000.1235")],
    ),
    (pa.binary(8), [bytes(7) + b"\1", bytes(6) + b"\1\0"]),
]


@pytest.mark.parametrize(
    ("kind", "values"), CURSORS, ids=[f"{number}-{kind}" for number, (kind, _) in enumerate(CURSORS)]
)
def test_versions_grow_with_the_cursor(kind: pa.DataType, values: list[Any]) -> None:
    page = pa.record_batch({"at": pa.array(values, kind)})
    versions = source_versions(page, "at", READ_AT)
    assert all(first < second for first, second in pairwise(versions))
    assert all(-(2**62) + 2**57 <= version < 2**63 for version in versions)


@pytest.mark.parametrize("values", [["20240301", "v17", "", "2024-13-45 10:00"], [None, "soon", None, "12:00"]])
def test_rows_without_an_order_of_their_own_have_that_of_their_reading(values: list[str | None]) -> None:
    page = pa.record_batch({"at": pa.array(values, pa.string())})
    assert source_versions(page, "at", READ_AT) == [READ_VERSIONS + READ_AT] * 4
    assert source_versions(page, None, READ_AT + 1) == [READ_VERSIONS + READ_AT + 1] * 4


def payload_of_row_7(there: CdmInstallation) -> str:
    (row,) = [row for row in there.rows(COMMENT) if row["_source_key"] == "7"]
    return str(row["body"])


def full_unit(folder: Path, template: str) -> CdmInstallation:
    policy = {"write": "upsert", "keep_staging": "7d"}
    return CdmInstallation(folder, unit="numbers-1x20", mode=RunMode.FULL, policy=policy, template=template)


@pytest.mark.parametrize("template", ["sql", "lake.delta"])
def test_a_replayed_row_of_a_full_unit_does_not_overwrite_the_newer_one(tmp_path: Path, template: str) -> None:
    there = full_unit(tmp_path, template)
    there.models = {**MAPPING, COMMENT: BAD}
    assert there.run().rows.quarantined == 1
    there.models = dict(MAPPING)
    there.source = {"changed": {"7": 900}}
    assert there.run().state is RunState.SUCCEEDED
    assert payload_of_row_7(there).startswith("7@900")
    assert there.run(there.order(task="replay")).state is RunState.SUCCEEDED
    assert payload_of_row_7(there).startswith("7@900")
    assert list_quarantine(there.settings.quarantine_uri) == []
    there.source = {"changed": {"7": 950}}
    there.run()
    assert payload_of_row_7(there).startswith("7@950")


@pytest.mark.parametrize("template", ["sql", "lake.delta", pytest.param("lake.iceberg", marks=pytest.mark.faults)])
def test_a_remap_of_several_runs_keeps_the_newest_version_of_a_full_unit(tmp_path: Path, template: str) -> None:
    there = full_unit(tmp_path, template)
    there.run()
    for at in (900, 950):
        there.source = {"changed": {"7": at}}
        there.run()
    there.version = "2"
    assert there.run(there.order(task="remap")).state is RunState.SUCCEEDED
    assert payload_of_row_7(there).startswith("7@950")
    assert {row["_mapper_version"] for row in there.rows(COMMENT)} == {"expressions/2"}


def test_a_clock_that_was_set_back_hides_no_newer_row(tmp_path: Path) -> None:
    there = full_unit(tmp_path, "sql")
    there.run()
    there.source = {"changed": {"7": 900}}
    early = there.order().model_copy(update={"read_at": 1})
    assert there.run(early).state is RunState.SUCCEEDED
    assert payload_of_row_7(there).startswith("7@900")


def test_rows_without_a_version_that_an_older_version_of_this_program_wrote_are_replaced(tmp_path: Path) -> None:
    import sqlite3

    there = full_unit(tmp_path, "sql")
    there.run()
    with sqlite3.connect(tmp_path / "cdm.db") as connection:
        connection.execute("update cdm_work_comment set _source_version = null")
    connection.close()
    there.source = {"changed": {"7": 900}}
    assert there.run().rows.committed == 20
    assert payload_of_row_7(there).startswith("7@900")


@pytest.mark.parametrize("template", ["sql", "lake.delta"])
def test_a_unit_that_gets_a_cursor_replaces_what_it_had_without_one(tmp_path: Path, template: str) -> None:
    there = full_unit(tmp_path, template)
    there.run()
    reset_state(open_state(there.settings), unit_key_of(there.order()))
    there.mode, there.policy = RunMode.INCREMENTAL, {"cursor": "at", "write": "upsert"}
    there.source = {"now": 1000, "changed": {"7": 900}}
    assert there.run().state is RunState.SUCCEEDED
    assert payload_of_row_7(there).startswith("7@900")
    reset_state(open_state(there.settings), unit_key_of(there.order()))
    there.mode, there.policy = RunMode.FULL, {"write": "upsert"}
    there.source = {"now": 1000, "changed": {"7": 950}}
    assert there.run().state is RunState.SUCCEEDED
    assert payload_of_row_7(there).startswith("7@950")
