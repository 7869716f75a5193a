"""`backup` and `restore` as a person uses them: two sinks, a machine that is lost, and a new one."""

import json
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.in_process import InProcessCli

pytestmark = pytest.mark.slow

CONFIG = """\
endpoints:
  - {id: shop, template: jdbc.sqlite, config: {url: "sqlite:///shop.db"}}
  - {id: mirror, template: jdbc.sqlite, config: {url: "sqlite:///shop.db"}}
sinks:
  - {id: lake, template: lake.delta, config: {uri: ./lake}}
  - {id: rows, template: duckdb, config: {path: ./rows.duckdb}}
units:
  - {endpoint: shop, unit: orders, sink: lake, enabled: true, run_mode: INCREMENTAL, policy: {cursor: updated_at}}
  - {endpoint: mirror, unit: orders, sink: rows, enabled: true, run_mode: INCREMENTAL, policy: {cursor: updated_at}}
"""
ENDPOINTS = ("shop", "mirror")
SINKS = ("lake", "rows.duckdb")


class Machine:
    """A folder with a source, an installation in `.ingest-ray`, and two sinks."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder, self.cli = folder, InProcessCli(folder, capfd)
        (folder / "ingest.yaml").write_text(CONFIG)
        with closing(sqlite3.connect(folder / "shop.db")) as c, c:
            c.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT, updated_at TIMESTAMP NOT NULL)")
        self.ordered = 0

    def call(self, *arguments: str, code: int = 0) -> str:
        found, out, err = self.cli.run(*arguments)
        assert found == code, err + out
        return out + err

    def order(self, count: int) -> None:
        """New rows, each a second newer, and one old row in a new version."""
        with closing(sqlite3.connect(self.folder / "shop.db")) as c, c:
            for n in range(self.ordered + 1, self.ordered + count + 1):
                c.execute("INSERT INTO orders VALUES (?, ?, ?)", (n, f"item {n}", time_of(n)))
            self.ordered += count
            c.execute(
                "UPDATE orders SET item = ?, updated_at = ? WHERE id = 1", (str(self.ordered), time_of(self.ordered))
            )

    def run(self) -> None:
        for endpoint in ENDPOINTS:
            self.call("run", endpoint)

    def copy_sinks(self, name: str) -> None:
        (self.folder / name).mkdir()
        for sink in SINKS:
            copy(self.folder / sink, self.folder / name / sink)

    def bring_back_sinks(self, name: str) -> None:
        for sink in SINKS:
            delete(self.folder / sink)
            copy(self.folder / name / sink, self.folder / sink)

    def lose_state(self) -> None:
        """All but the key of the secrets, which is kept elsewhere."""
        key = self.folder / ".ingest-ray" / "secret.key"
        kept = key.read_bytes() if key.exists() else None
        shutil.rmtree(self.folder / ".ingest-ray")
        if kept is not None:
            key.parent.mkdir(mode=0o700)
            key.write_bytes(kept)
            key.chmod(0o600)

    def assert_equal(self) -> None:
        with closing(sqlite3.connect(self.folder / "shop.db")) as c:
            expected = Counter(c.execute("SELECT id, item FROM orders"))
        import duckdb
        from deltalake import DeltaTable

        lake = DeltaTable(str(self.folder / "lake" / "shop" / "orders")).to_pyarrow_table().to_pylist()
        assert Counter((row["id"], row["item"]) for row in lake) == expected
        with duckdb.connect(str(self.folder / "rows.duckdb"), read_only=True) as database:
            (table,) = [
                name
                for schema, name in database.execute(
                    "SELECT table_schema, table_name FROM information_schema.tables"
                ).fetchall()
                if "orders" in name
            ]
            assert Counter(database.execute(f'SELECT id, item FROM "{table}"').fetchall()) == expected


def time_of(number: int) -> str:
    return f"2024-01-01 {number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}"


def copy(source: Path, to: Path) -> None:
    shutil.copytree(source, to) if source.is_dir() else shutil.copy(source, to)


def delete(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture
def machine(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Machine:
    for name in ("INGEST_HOME", "INGEST_SECRET_KEY", "INGEST_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    made = Machine(tmp_path, capfd)
    made.call("apply")
    for endpoint in ENDPOINTS:
        made.call("collect", endpoint)
    made.order(100)
    made.run()
    return made


def test_a_state_that_is_newer_than_its_sinks_goes_back_to_them(machine: Machine) -> None:
    """As the manual says: first the sinks are copied, then the state. A run ends in between."""
    machine.copy_sinks("copies")
    machine.order(20)
    machine.run()
    assert "backed up 2 unit(s)" in machine.call("backup", "backup")
    machine.order(20)
    machine.run()
    machine.lose_state()
    machine.bring_back_sinks("copies")
    restored = machine.call("restore", "backup", "--to-sinks")
    for endpoint in ENDPOINTS:
        assert f"{endpoint}:orders: went back from commit 2 to commit 1" in restored
    machine.run()
    machine.assert_equal()


def test_a_state_that_is_older_than_its_sinks_merges_what_it_reads_again(machine: Machine) -> None:
    machine.call("backup", "backup")
    machine.order(20)
    machine.run()
    machine.lose_state()
    assert "restored 2 unit(s)" in machine.call("restore", "backup", "--to-sinks")
    machine.run()
    machine.assert_equal()
    machine.order(5)
    machine.run()
    machine.assert_equal()


def test_a_restored_state_without_its_sinks_says_so_and_is_loaded_again(machine: Machine) -> None:
    machine.call("backup", "backup")
    machine.lose_state()
    for sink in SINKS:
        delete(machine.folder / sink)
    machine.call("restore", "backup")
    for endpoint in ENDPOINTS:
        assert "E_SINK_BEHIND_STATE" in machine.call("run", endpoint, code=1)
        machine.call("reset", endpoint, "orders", "--to-sink", "--yes")
    machine.run()
    machine.assert_equal()


def status_of(machine: Machine) -> dict[str, Any]:
    """Without the freshness, which is another one a moment later."""
    status: dict[str, Any] = json.loads(machine.call("status", "--json"))
    for unit in status["units"]:
        unit.pop("freshness")
    return status


def test_an_installation_that_has_something_is_replaced_only_with_consent(machine: Machine) -> None:
    machine.call("backup", "backup")
    machine.order(5)
    machine.run()
    before = status_of(machine)
    refused = machine.call("restore", "backup", code=2)
    assert "--replace" in refused
    assert status_of(machine) == before, "nothing was changed"
    machine.call("restore", "backup", "--replace", "--yes", "--to-sinks")
    machine.run()
    machine.assert_equal()


def test_a_damaged_backup_changes_nothing(machine: Machine) -> None:
    machine.call("backup", "backup")
    documents = machine.folder / "backup" / "kv.jsonl"
    documents.chmod(0o600)
    documents.write_text(documents.read_text()[:-20])
    machine.lose_state()
    refused = machine.call("restore", "backup", code=2)
    assert "kv.jsonl" in refused
    machine.call("run", "shop", code=2)
