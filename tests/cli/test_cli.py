"""The command line as a user meets it: exit codes, one JSON document, tables of 80 columns, signals, terminals."""

import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.testing.scripted import noted
from tests.cli.in_process import InProcessCli

COMMAND = [str(Path(sys.executable).parent / "ingest-ray")]
HEAVY = (
    "fastapi",
    "strawberry",
    "nicegui",
    "uvicorn",
    "jwt",
    "ray",
    "deltalake",
    "duckdb",
    "adbc_driver_manager",
    "redis",
    "pg8000",
    "ingest_strategies",
    "ingest_ray.run",
)
CONFIG = """\
endpoints:
  - {id: shop, template: jdbc.sqlite, config: {url: "sqlite:///shop.db"}}
  - {id: slow, template: testing.scripted, config: {units: [numbers-1x1500], slice_rows: 50, journal: ./journal, faults: {"0:500": [hold]}}}
sinks:
  - {id: lake, template: lake.delta, config: {uri: ./lake}}
units:
  - {endpoint: shop, unit: "*", sink: lake, enabled: true}
  - {endpoint: shop, unit: orders, run_mode: INCREMENTAL, policy: {cursor: updated_at}}
  - {endpoint: shop, unit: secret_notes, enabled: false}
  - {endpoint: slow, unit: "*", sink: lake, enabled: true, run_mode: INCREMENTAL, policy: {cursor: at, target_slice_bytes: 65536}}
"""
RUN_FIELDS = {"run_id", "state", "rows", "slices", "watermarks", "target", "seconds", "error", "units"}
ONE_UNIT_FIELDS = {
    "task",
    "strategy",
    "executor",
    "horizon",
    "phases",
    "retries",
    "schema_changes",
    "reconcile",
    "verify",
}


class Shop:
    def __init__(self, folder: Path, cli: InProcessCli) -> None:
        self.folder, self.cli = folder, cli
        self.environment = dict(os.environ)
        (folder / "ingest.yaml").write_text(CONFIG)
        with closing(sqlite3.connect(folder / "shop.db")) as c, c:
            c.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT, updated_at TIMESTAMP NOT NULL)")
            c.execute("CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT)")
            c.execute("CREATE TABLE secret_notes(id INTEGER PRIMARY KEY, note TEXT)")
            rows = [(n, f"item {n}", f"2024-01-01 00:{n // 60 % 60:02}:{n % 60:02}") for n in range(1, 501)]
            c.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
            c.executemany("INSERT INTO customers VALUES (?, ?)", [(n, f"name {n}") for n in range(100)])

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """In this process: half a second less than one of its own."""
        return subprocess.CompletedProcess(["ingest-ray", *arguments], *self.cli.run(*arguments))

    def process(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=200,
            **more,
        )

    def json(self, *arguments: str, code: int = 0) -> Any:
        """The one document on stdout; fails if there is anything else."""
        done = self.run(*arguments, "--json")
        assert done.returncode == code, done.stderr
        assert done.stdout.count("\n") == 1
        return json.loads(done.stdout)

    def ready(self) -> "Shop":
        assert self.run("apply").returncode == 0
        assert self.run("collect", "shop").returncode == 0
        return self


@pytest.fixture
def shop(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("INGEST_HOME", "INGEST_SECRET_KEY", "INGEST_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    return Shop(tmp_path, InProcessCli(tmp_path, capfd))


@pytest.mark.slow
def test_from_a_file_to_rows_in_the_lake(shop: Shop) -> None:
    assert "+ endpoint shop" in shop.run("apply", "--dry-run").stdout
    assert [change["id"] for change in shop.json("apply")["changes"] if change["kind"] == "endpoint"] == [
        "shop",
        "slow",
    ]
    assert shop.json("apply")["changes"] == []
    assert shop.json("collect", "shop")["differences"]["added"] == ["customers", "orders", "secret_notes"]
    enabled = {unit["unit_id"]: unit["enabled"] for unit in shop.json("units", "shop")["units"]}
    assert enabled == {"customers": True, "orders": True, "secret_notes": False}
    planned = shop.json("plan", "shop", "orders")
    assert (planned["slice_count"], planned["write"], planned["strategy"]) == (1, "upsert", "jdbc.sqlite")
    assert {line["fidelity"] for line in planned["certificate"]} == {"exact"}
    first = shop.json("run", "shop", "orders")
    assert set(first) == RUN_FIELDS | ONE_UNIT_FIELDS
    assert (first["strategy"], first["executor"], first["retries"]) == ("jdbc.sqlite", "inline", 0)
    assert set(first["phases"]) >= {"read", "commit"}
    assert (first["state"], first["rows"]["committed"], first["error"]) == ("SUCCEEDED", 500, None)
    assert first["target"].endswith("/lake/shop/orders")
    assert first["watermarks"] == {"all": first["units"][0]["watermarks"]["all"]}
    assert first["run_id"] == first["units"][0]["run_id"]
    assert shop.json("run", "shop", "orders")["rows"]["read"] == 0
    both = shop.json("run", "shop")
    assert [unit["unit_id"] for unit in both["units"]] == ["customers", "orders"]
    assert both["rows"]["committed"] == 100
    assert set(both) == RUN_FIELDS
    assert both["watermarks"] == {unit["unit_id"]: unit["watermarks"] for unit in both["units"]}
    assert [unit["state"] for unit in shop.json("status", "shop")["units"]] == ["SUCCEEDED", "SUCCEEDED", "IDLE"]
    assert len(shop.json("status", "shop", "orders")["units"][0]["history"]) == 3
    assert [row["id"] for row in shop.json("preview", "shop", "orders", "-n", "2")["rows"]] == [1, 2]
    assert shop.json("reset", "shop", "orders", "--yes")["segments"] == 1
    assert shop.json("run", "shop", "orders")["rows"]["read"] == 500


def test_a_changed_table_gets_a_new_version_with_its_difference(shop: Shop) -> None:
    shop.ready()
    with closing(sqlite3.connect(shop.folder / "shop.db")) as c, c:
        c.execute("ALTER TABLE orders ADD COLUMN note TEXT")
    assert shop.json("collect", "shop")["differences"]["changed"] == ["orders"]
    versions = shop.json("datasets", "show", "shop", "orders")["versions"]
    assert [(version["version"], version["changes"]) for version in versions] == [(1, []), (2, ["+ note TEXT"])]


def test_c68_a_table_that_changes_between_runs_is_followed_or_refused_by_name(shop: Shop) -> None:
    shop.ready()
    shop.json("run", "shop", "orders")
    with closing(sqlite3.connect(shop.folder / "shop.db")) as c, c:
        c.execute("ALTER TABLE orders ADD COLUMN note TEXT")
        c.execute("UPDATE orders SET note = 'late', updated_at = '2024-02-01 00:00:00' WHERE id = 7")
    followed = shop.json("run", "shop", "orders")
    assert (followed["rows"]["committed"], followed["schema_changes"]) == (1, ["+ note TEXT"])
    assert len(shop.json("datasets", "show", "shop", "orders")["versions"]) == 2
    backfill = shop.json("run", "shop", "orders", "--from", "2024-01-01 00:01:00", "--to", "2024-01-01 00:02:00")
    assert (backfill["rows"]["read"], backfill["watermarks"]) == (60, followed["watermarks"])
    with closing(sqlite3.connect(shop.folder / "shop.db")) as c, c:
        c.execute("ALTER TABLE orders RENAME COLUMN updated_at TO changed_at")
    lost = shop.json("run", "shop", "orders", code=1)
    assert lost["error"]["code"] == "E_SOURCE_CHANGED"
    assert "column 'updated_at', the cursor of unit 'shop:orders', is gone" in lost["error"]["message"]
    with closing(sqlite3.connect(shop.folder / "shop.db")) as c, c:
        c.execute("DROP TABLE orders")
    assert shop.json("run", "shop", "orders", code=1)["error"]["code"] == "E_SOURCE_CHANGED"


MISTAKES = [
    (["run", "shop", "--from", "2024-01-01"], "E_BAD_INPUT"),
    (["run", "shop", "customers", "--to", "7"], "E_BAD_INPUT"),
    (["run", "shop", "orders", "--to", "7", "--reconcile"], "E_BAD_INPUT"),
    (["run", "shop", "orders", "--allow-deletes"], "E_BAD_INPUT"),
    (["quarantine", "list", "nobody"], "E_ENDPOINT_NOT_FOUND"),
    (["quarantine", "replay", "shop", "customers"], "E_BAD_INPUT"),
    (["quarantine", "discard", "shop", "orders"], "E_BAD_INPUT"),
    (["datasets", "accept", "shop", "none"], "E_INGESTION_UNIT_NOT_FOUND"),
    (["run", "nobody"], "E_ENDPOINT_NOT_FOUND"),
    (["run", "shop", "ordrs"], "E_INGESTION_UNIT_NOT_FOUND"),
    (["run", "shop", "secret_notes"], "E_INGESTION_DATASET_DISABLED"),
    (["plan", "slow", "numbers-1x1500"], "E_INGESTION_DATASET_UNKNOWN"),
    (["status", "nobody"], "E_ENDPOINT_NOT_FOUND"),
    (["datasets", "show", "shop", "none"], "E_INGESTION_DATASET_UNKNOWN"),
    (["reset", "shop", "orders"], "E_BAD_INPUT"),
    (["run"], "E_BAD_INPUT"),
    (["nonsense"], "E_BAD_INPUT"),
    (["run", "shop", "--nonsense"], "E_BAD_INPUT"),
    (["preview", "shop", "orders", "-n", "many"], "E_BAD_INPUT"),
    (["status", "--config", "none.yaml"], "E_BAD_INPUT"),
]


@pytest.mark.slow
def test_a_mistake_is_exit_code_2_with_a_code_and_without_a_traceback(shop: Shop) -> None:
    shop.ready()
    for arguments, code in MISTAKES:
        document = shop.json(*arguments, code=2)
        assert set(document) == {"error"}, arguments
        assert set(document["error"]) == {"code", "message", "hint"}
        assert document["error"]["code"] == code, arguments
    said = shop.process("run", "shop", "ordrs", stdin=subprocess.DEVNULL)
    assert (said.returncode, said.stdout) == (2, "")
    assert (
        said.stderr
        == "error: endpoint 'shop' has no unit 'ordrs' [E_INGESTION_UNIT_NOT_FOUND]\nhint: did you mean 'orders'?\n"
    )


def test_a_file_with_a_fault_names_its_line(shop: Shop) -> None:
    (shop.folder / "ingest.yaml").write_text(CONFIG.replace("cursor: updated_at", "cursr: updated_at"))
    done = shop.run("apply")
    assert done.returncode == 2
    assert "ingest.yaml:8: units[1].policy.cursr: unknown field; did you mean 'cursor'?" in done.stderr


def test_a_run_that_fails_is_exit_code_1_and_still_one_document(shop: Shop) -> None:
    shop.ready()
    (shop.folder / "lake").write_text("in the way")
    document = shop.json("run", "shop", "orders", code=1)
    assert document["state"] == "FAILED"
    assert document["error"]["code"].startswith("E_")
    status = shop.run("status", "shop", "orders")
    assert "FAILED" in status.stdout
    assert "Traceback" not in status.stdout + status.stderr


@pytest.mark.slow
def test_a_debug_variable_shows_where_an_error_comes_from(shop: Shop) -> None:
    shop.environment["INGEST_DEBUG"] = "1"
    assert "Traceback" in shop.process("status", "--config", "none.yaml").stderr


def test_tables_fit_80_columns(shop: Shop) -> None:
    shop.ready()
    shop.run("run", "shop")
    for arguments in (
        ["units", "shop"],
        ["plan", "shop", "orders"],
        ["status"],
        ["status", "shop", "orders"],
        ["preview", "shop", "orders"],
    ):
        done = shop.run(*arguments)
        assert done.returncode == 0
        assert max(len(line.rstrip()) for line in done.stdout.splitlines()) <= 80, done.stdout
    assert max(map(len, shop.run("datasets", "show", "shop", "orders").stdout.splitlines())) <= 80


def test_every_command_has_help_with_examples(shop: Shop) -> None:
    names = ["apply", "test", "collect", "units", "plan", "run", "status", "preview", "reset", "datasets show"]
    names += ["datasets accept", "quarantine list", "quarantine show", "quarantine replay", "quarantine discard"]
    for name in names:
        done = shop.run(*name.split(), "--help")
        assert done.returncode == 0
        assert "Example" in done.stdout, name
        assert f"  ingest-ray {name}" in done.stdout
        assert "--json" in done.stdout


UNUSED = (
    "rich",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.orm",
    "pg8000",
    "pandas",
    "httpx",
    "numba",
    "pyiceberg",
    "ray",
    "ingest_ray.cli.tables",
    "ingest_ray.http.client",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "unused"), [(["run", "shop", "orders", "--json"], UNUSED), (["--help"], ("sqlalchemy", "pydantic"))]
)
def test_a_command_imports_only_what_it_uses(shop: Shop, arguments: list[str], unused: tuple[str, ...]) -> None:
    shop.ready()
    code = (
        "import gc, os, sys; from ingest_ray.cli.main import main; sys.argv = ['ingest-ray', *sys.argv[1:]]\n"
        "try: main()\n"
        f"finally: print([name for name in {unused} if name in sys.modules], gc.get_threshold()[0], gc.get_freeze_count() > 0,"
        " os.environ['ARROW_DEFAULT_MEMORY_POOL'], file=sys.stderr)"
    )
    environment = {name: value for name, value in shop.environment.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=shop.folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[] 50000 True system"


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["status"], ["status", "shop", "orders"], ["--help"], ["status", "--json"]])
def test_status_and_help_import_nothing_heavy(shop: Shop, arguments: list[str]) -> None:
    shop.ready()
    code = (
        "import sys; from ingest_ray.cli.main import run_command; code = run_command(sys.argv[1:]);"
        f"print([name for name in {HEAVY} if name in sys.modules], code, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=shop.folder,
        env=shop.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "[] 0"


@pytest.mark.slow
def test_progress_and_logs_go_to_stderr(shop: Shop) -> None:
    shop.ready()
    done = shop.process("run", "shop", "orders", "--json", "--log-format", "json", "--log-level", "info")
    assert json.loads(done.stdout)["state"] == "SUCCEEDED"
    assert "shop:orders done: 500 rows" in done.stderr
    assert all(isinstance(json.loads(line), dict) for line in done.stderr.splitlines() if line.startswith("{"))


@pytest.mark.slow
def test_a_terminal_sees_bars(shop: Shop) -> None:
    shop.ready()
    shop.environment |= {"TERM": "xterm", "COLUMNS": "100"}
    mine, theirs = pty.openpty()
    done = subprocess.run(
        [*COMMAND, "run", "shop", "orders"],
        cwd=shop.folder,
        env=shop.environment,
        stderr=theirs,
        stdout=subprocess.PIPE,
        text=True,
        timeout=200,
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(mine, 65536):
            seen += chunk
    except OSError:  # the other end is closed: everything was read
        pass
    os.close(mine)
    assert done.returncode == 0
    assert re.search(r"orders.*━.*500 rows", seen.decode())


def wait_until_held(shop: Shop) -> None:
    """Until the run reads the slice that the source holds: it takes note of every call."""
    deadline = time.monotonic() + 200
    while not any(" [500, " in line for line in noted(shop.folder / "journal")):
        assert time.monotonic() < deadline, "the run did not come to the slice that is held"
        time.sleep(0.05)


@pytest.mark.slow
def test_the_first_ctrl_c_pauses_the_run_and_says_how_to_go_on(shop: Shop) -> None:
    shop.run("apply")
    assert shop.run("collect", "slow").returncode == 0
    child = subprocess.Popen(
        [*COMMAND, "run", "slow", "--json"],
        cwd=shop.folder,
        env=shop.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until_held(shop)
    child.send_signal(signal.SIGINT)
    assert child.stderr is not None
    assert any("to go on: ingest-ray run slow" in line for line in child.stderr), "the signal was not acknowledged"
    (shop.folder / "journal.release").touch()
    out, err = child.communicate(timeout=200)
    document = json.loads(out)
    assert (document["state"], child.returncode) == ("PAUSED", 1), err
    assert 0 < document["rows"]["committed"] < 1500
    rest = shop.json("run", "slow")
    assert (rest["state"], rest["rows"]["committed"]) == ("SUCCEEDED", 1500 - document["rows"]["committed"])


@pytest.mark.slow
def test_the_second_ctrl_c_ends_the_run_at_once_and_the_next_one_goes_on(shop: Shop) -> None:
    shop.run("apply")
    assert shop.run("collect", "slow").returncode == 0
    child = subprocess.Popen(
        [*COMMAND, "run", "slow", "--json"],
        cwd=shop.folder,
        env=shop.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until_held(shop)
    os.kill(child.pid, signal.SIGSTOP)  # so that both arrive before the first is obeyed
    child.send_signal(signal.SIGINT)
    child.send_signal(signal.SIGTERM)
    os.kill(child.pid, signal.SIGCONT)
    out, _ = child.communicate(timeout=200)
    assert child.returncode == 1
    assert json.loads(out) == {"error": {"code": "E_RUN_INTERRUPTED", "message": "stopped", "hint": None}}
    (unit,) = shop.json("status", "slow")["units"]
    assert (unit["state"], unit["error"]["code"]) == ("FAILED", "E_RUN_INTERRUPTED")
    assert shop.json("run", "slow")["state"] == "SUCCEEDED"


@pytest.mark.slow
def test_what_was_applied_is_found_from_another_folder_through_the_home(shop: Shop, tmp_path: Path) -> None:
    shop.ready()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**shop.environment, "INGEST_HOME": str(shop.folder / ".ingest-ray")}
    done = subprocess.run(
        [*COMMAND, "units", "shop"], cwd=elsewhere, env=environment, capture_output=True, text=True, check=True
    )
    assert "orders" in done.stdout
