"""The sink of `examples/`: the behaviour suite without what it does not have (column types of its own), and a whole run."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest_ray.registry import open_sink
from ingest_ray.sdk.types import Endpoint, Target
from ingest_ray.testing.suites.sink_deletes import DeleteTests
from ingest_ray.testing.suites.sink_exactly_once import OnceTests
from ingest_ray.testing.suites.sink_writes import WriteTests
from tests.cli.in_process import InProcessCli


class JsonLinesWorld:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> Any:
        return open_sink(Endpoint(endpoint_id="files", template="example.jsonl", config={"folder": str(self._folder)}))

    def read_all(self, target: Target) -> list[dict[str, Any]]:
        return list(self.open().rows(target))


class TestJsonLines(WriteTests, OnceTests, DeleteTests):
    world = pytest.fixture(lambda self, tmp_path: JsonLinesWorld(tmp_path / "out"))


def test_a_table_becomes_json_lines_and_a_second_run_adds_only_what_changed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("INGEST_HOME", "INGEST_SECRET_KEY", "INGEST_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as c, c:
        c.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT, version INTEGER NOT NULL)")
        c.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(n, f"item {n}", n) for n in range(1, 101)])
    unit = {"endpoint": "shop", "unit": "orders", "sink": "files", "enabled": True, "run_mode": "INCREMENTAL"}
    document = {
        "endpoints": [{"id": "shop", "template": "jdbc.sqlite", "config": {"url": f"sqlite:///{tmp_path}/shop.db"}}],
        "sinks": [{"id": "files", "template": "example.jsonl", "config": {"folder": str(tmp_path / "out")}}],
        "units": [unit | {"policy": {"cursor": "version"}}],
    }
    (tmp_path / "ingest.yaml").write_text(yaml.safe_dump(document))
    cli = InProcessCli(tmp_path, capfd)
    cli.json("apply")
    cli.json("collect", "shop")
    assert cli.json("run", "shop")["rows"]["committed"] == 100
    with closing(sqlite3.connect(tmp_path / "shop.db")) as c, c:
        c.execute("UPDATE orders SET item = 'new', version = 200 WHERE id = 7")
    cli.json("run", "shop")
    target = Target(sink_id="files", endpoint_id="shop", unit_id="orders", app_id="a", write="upsert")
    rows = {row["id"]: row["item"] for row in JsonLinesWorld(tmp_path / "out").read_all(target)}
    assert (len(rows), rows[7], rows[8]) == (100, "new", "item 8")
