"""Rejected rows: stored exactly, official only after the commit of their slice."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_ray.quarantine.rejected_rows import (
    delete_rejected_rows,
    list_pending,
    list_quarantine,
    promote_rejected_rows,
    read_rejected_rows,
    sweep_pending,
)
from ingest_ray.quarantine.values import decode_value, encode_value
from ingest_ray.quarantine.writer import QuarantineWriter
from ingest_ray.sdk.errors import SinkUnavailable

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.decimals(allow_nan=False) | st.datetimes().map(lambda t: t.replace(fold=0)) | st.datetimes(timezones=st.just(UTC)).map(lambda t: t.replace(fold=0)) | st.dates() | st.times().map(lambda t: t.replace(fold=0))
    | st.timedeltas() | st.uuids()
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4) | st.just("$bytes") | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


def writer(root: Path, slice_id: str = "all~s~0", attempt: int = 1, run_id: str = "r1") -> QuarantineWriter:
    return QuarantineWriter(str(root), "shop", "public.orders/x", "lake", run_id, slice_id, attempt)


def write_rejected(root: Path, *raws: dict[str, Any], **facts: Any) -> str:
    opened = writer(root, **facts)
    for raw in raws:
        opened.reject(raw, "too long", "a")
    uri = opened.close()
    assert uri is not None
    return uri


@given(values)
def test_any_value_comes_back_as_it_was(value: Any) -> None:
    again = decode_value(json.loads(json.dumps(encode_value(value))))
    assert repr(again) == repr(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), pa.MonthDayNano([1, -2, 3]), "\ud800", Decimal("sNaN")])
def test_c70_awkward_values_come_back_as_they_were(value: Any, tmp_path: Path) -> None:
    (row,) = read_rejected_rows(write_rejected(tmp_path, {"a": value}))
    assert repr(row.raw["a"]) == repr(value)


def test_c70_a_rejected_row_keeps_raw_value_slice_and_reason(tmp_path: Path) -> None:
    raw = {"a": b"\0\xff", "d": Decimal("1.10"), "t": datetime(1, 1, 1), "u": UUID(int=5), "x": date(9999, 12, 31)}
    raw |= {"o": time(23, 59, 59, 999999), "i": timedelta(days=-1, microseconds=1)}
    (row,) = read_rejected_rows(promote_rejected_rows(write_rejected(tmp_path, raw)))
    assert (row.raw, row.slice_id, row.run_id, row.column, row.reason) == (raw, "all~s~0", "r1", "a", "too long")


def test_no_rejected_row_makes_no_file(tmp_path: Path) -> None:
    assert writer(tmp_path).close() is None
    assert list(tmp_path.rglob("*")) == []


def test_pending_rows_are_not_listed_until_they_are_promoted(tmp_path: Path) -> None:
    uri = write_rejected(tmp_path, {"a": 1}, {"a": 2})
    assert list_quarantine(str(tmp_path)) == []
    official = promote_rejected_rows(uri)
    assert promote_rejected_rows(uri) == promote_rejected_rows(official) == official
    (entry,) = list_quarantine(str(tmp_path), "shop", "public.orders/x")
    assert (entry.uri, entry.rows, entry.sink_id, entry.unit_id) == (official, 2, "lake", "public.orders/x")
    assert list_quarantine(str(tmp_path), "shop", "public.orders") == []
    assert list_quarantine(str(tmp_path), "elsewhere") == []


def test_only_the_promoted_attempt_counts(tmp_path: Path) -> None:
    write_rejected(tmp_path, {"a": 1}, attempt=1)
    promote_rejected_rows(write_rejected(tmp_path, {"a": 1}, {"a": 2}, attempt=2))
    (entry,) = list_quarantine(str(tmp_path))
    assert entry.rows == 2
    assert sweep_pending(str(tmp_path), list_pending(str(tmp_path)), live_runs=[]) == 1
    assert len(list_quarantine(str(tmp_path))) == 1


def test_the_pending_rows_of_live_runs_are_not_swept(tmp_path: Path) -> None:
    alive = write_rejected(tmp_path, {"a": 1}, run_id="run/live")
    dead = write_rejected(tmp_path, {"a": 1}, run_id="dead")
    assert sweep_pending(str(tmp_path), list_pending(str(tmp_path)), live_runs=["run/live"]) == 1
    promote_rejected_rows(alive)
    assert promote_rejected_rows(dead) is None


def test_a_discarded_file_is_gone(tmp_path: Path) -> None:
    official = promote_rejected_rows(write_rejected(tmp_path, {"a": 1}))
    delete_rejected_rows(official)
    delete_rejected_rows(official)
    assert list_quarantine(str(tmp_path)) == []
    with pytest.raises(SinkUnavailable):
        list(read_rejected_rows(official))


def test_an_aborted_writer_leaves_nothing(tmp_path: Path) -> None:
    opened = writer(tmp_path)
    opened.reject({"a": 1}, "x")
    opened.abort()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_place_that_is_no_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkUnavailable, match="file"):
        writer(tmp_path / "file").reject({"a": 1}, "x")
