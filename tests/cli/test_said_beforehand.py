"""What a run will do, and what it cannot, is said before the run."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from deltalake import DeltaTable

from tests.cli.in_process import InProcessCli

FILE = """\
endpoints:
  - {id: shop, template: jdbc.sqlite, config: {path: shop.db}}
sinks:
  - {id: lake, template: lake.delta, config: {uri: ./lake}}
units:
  - endpoint: shop
    unit: "*"
    sink: lake
    enabled: true
    run_mode: INCREMENTAL
    policy: {cursor: updated_at, fallback: full}
"""


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> InProcessCli:
    monkeypatch.delenv("INGEST_HOME", raising=False)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.executescript(
            "create table orders(id integer primary key, updated_at timestamp, total integer);"
            "insert into orders values (1, '2026-01-01 00:00:00', 5);"
            "create table tags(id integer primary key, weight integer);"
            "insert into tags values (1, 5), (2, 'heavy');"
        )
    (tmp_path / "ingest.yaml").write_text(FILE)
    there = InProcessCli(tmp_path, capfd)
    there.json("apply")
    there.json("collect", "shop")
    return there


def test_units_shows_the_mode_that_a_run_will_have_and_why(cli: InProcessCli) -> None:
    orders, tags = cli.json("units", "shop")["units"]
    assert (orders["run_mode"], orders["effective_run_mode"], orders["write"]) == (
        "INCREMENTAL",
        "INCREMENTAL",
        "upsert",
    )
    assert (tags["run_mode"], tags["effective_run_mode"], tags["write"]) == ("INCREMENTAL", "FULL", "replace")
    assert tags["choice"] == "FULL, because the dataset does not have updated_at"
    lines = cli.run("units", "shop")[1].splitlines()
    assert next(line for line in lines if line.startswith("tags ")).split()[3] == "FULL"
    assert "tags is configured INCREMENTAL: FULL, because the dataset does not have updated_at" in lines


def test_rejected_rows_that_cannot_be_replayed_are_said_before_and_after(cli: InProcessCli) -> None:
    (note,) = cli.json("validate")["notes"]
    assert "shop:tags" in note
    assert "shop:orders" not in note
    assert note in cli.run("validate")[1]
    planned = cli.json("plan", "shop", "tags")["facts"]["rejected rows"]
    assert "cannot be replayed, because each run replaces its table" in planned
    assert "rejected rows" not in cli.json("plan", "shop", "orders")["facts"]
    assert cli.json("run", "shop", "tags")["rows"]["quarantined"] == 1
    for command in ("list", "show"):
        assert "shop:tags cannot be replayed" in cli.run("quarantine", command, "shop")[1]
        (refused,) = cli.json("quarantine", command, "shop")["not_replayable"]
        assert refused["hint"].startswith("correct the rows at the source")
    error = cli.json("quarantine", "replay", "shop", "tags", code=2)["error"]
    assert error["message"] == "rows of unit 'shop:tags' cannot be replayed: each run replaces its table"
    with closing(sqlite3.connect(cli.folder / "shop.db")) as shop:
        shop.execute("update tags set weight = 9 where id = 2")
        shop.commit()
    assert cli.json("run", "shop", "tags")["rows"] | {"staged": 0} == {
        "read": 2, "staged": 0, "committed": 2, "quarantined": 0, "deduplicated": 0,
    }  # fmt: skip


@pytest.mark.slow
def test_a_repair_after_a_column_was_added_brings_the_rows_with_the_column(cli: InProcessCli) -> None:
    cli.json("run", "shop", "orders")
    with closing(sqlite3.connect(cli.folder / "shop.db")) as shop:
        shop.executescript(
            "alter table orders add column note text; insert into orders values (2, '2025-01-01 00:00:00', 7, 'late')"
        )
    (found,) = cli.json("verify", "shop", "orders", "--rows", code=1)["units"]
    assert (found["missing"], found["not_compared"], found["error"]["code"]) == (1, ["note"], "E_ROWS_DIFFER")
    (mended,) = cli.json("verify", "shop", "orders", "--rows", "--repair")["units"]
    assert (mended["repaired"], mended["remaining"]) == (1, 0)
    rows = DeltaTable(str(cli.folder / "lake" / "shop" / "orders")).to_pyarrow_table().to_pylist()
    assert {row["id"]: row["note"] for row in rows} == {1: None, 2: "late"}
    assert cli.json("run", "shop", "orders")["state"] == "SUCCEEDED"
    assert cli.json("verify", "shop", "orders", "--rows")["units"][0]["not_compared"] == []
