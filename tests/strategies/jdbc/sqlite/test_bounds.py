"""Bounds that a person writes, against times that SQLite keeps as text or numbers: both must be written alike to be compared."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import ingest_ray
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.runs.admission import RunOptions
from ingest_ray.service.units.watermark import set_watermark
from ingest_strategies.jdbc.planning.backfill import written_as

BLANK = ["2026-01-01 00:00:00", "2026-01-02 00:00:00", "2026-01-02 23:59:59", "2026-01-03 00:00:00"]
T = [f"{text.replace(' ', 'T')}Z" for text in BLANK]
BOUNDS = [
    ("2026-01-02", "2026-01-03"),
    ("2026-01-02T00:00:00+00:00", "2026-01-03T00:00:00+00:00"),
    ("2026-01-02 00:00", "2026-01-03T00:00Z"),
    ("2026-01-02T01:00:00+01:00", "2026-01-02T23:59:59.000001"),
]


def opened(folder: Path, times: list[str | int], kind: str = "timestamp") -> ingest_ray.Project:
    with closing(sqlite3.connect(folder / "shop.db")) as shop, shop:
        shop.execute(f"create table orders(id integer primary key, at {kind})")
        shop.executemany("insert into orders(at) values (?)", [(time,) for time in times])
    unit = {"endpoint": "shop", "unit": "orders", "sink": "out", "enabled": True, "run_mode": "INCREMENTAL"}
    document = {
        "endpoints": [{"id": "shop", "template": "jdbc.sqlite", "config": {"path": "shop.db"}}],
        "sinks": [{"id": "out", "template": "sql", "config": {"url": "sqlite:///out.db"}}],
        "units": [{**unit, "policy": {"cursor": "at", "lookback": 0}}],
    }
    project = ingest_ray.build(document, folder=folder)
    project.apply()
    project.collect("shop")
    assert project.run("shop").rows.committed == len(times)
    return project


@pytest.mark.slow
@pytest.mark.parametrize(("times", "kind"), [(BLANK, "timestamp"), (T, "timestamp"), (BLANK, "text")])
def test_a_backfill_reads_the_rows_of_its_day_however_the_bounds_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: list[str | int], kind: str
) -> None:
    monkeypatch.delenv("INGEST_HOME", raising=False)
    with opened(tmp_path, times, kind) as project:
        for lower, upper in BOUNDS:
            options = RunOptions(task="backfill", lower=lower, upper=upper)
            assert project.run("shop", "orders", options=options).rows.read == 2, (lower, upper)
        unit = UnitRef("shop", "orders")
        set_watermark(project._installation, unit, "2026-01-02T00:00:00+00:00")
        assert project.run("shop").rows.read == 3


def test_a_cursor_of_numbers_takes_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INGEST_HOME", raising=False)
    with opened(tmp_path, [1_767_225_600, 1_767_312_000, 1_767_398_400]) as project:
        numbers = RunOptions(task="backfill", lower="1767225600", upper="1767312000")
        assert project.run("shop", "orders", options=numbers).rows.read == 1
        (unit,) = project.run("shop", "orders", options=RunOptions(task="backfill", lower="2026-01-01")).units
        assert unit.error is not None
        assert unit.error.code == ConfigError("").code
        assert "1767398400" in str(unit.error.hint)


def test_a_bound_is_written_as_the_source_writes() -> None:
    assert written_as("2026-01-01T00:00:00.000Z", "2026-01-02 03:04") == "2026-01-02T03:04:00.000Z"
    assert written_as("2026-01-01 00:00", "2026-01-02T03:04:01") == "2026-01-02 03:05"
    assert written_as("2026-01-01", "2026-01-02T00:00:00+00:00") == "2026-01-02"
    assert written_as("2026-01-01", "2026-01-02T00:00:01") == "2026-01-03"
    for stored, bound in (("a", "2026-01-02"), ("2026-01-01", "b"), (7, "2026-01-02"), (None, "x"), ("2026-01-01", 7)):
        assert written_as(stored, bound) == bound
