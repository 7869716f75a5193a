"""`templates`, `endpoints`, `validate`, `datasets list`, `logs` and `version`."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import JsonValue

from ingest_ray.catalog import run_records
from ingest_ray.config import load_settings
from ingest_ray.registry import sink_templates, strategy_templates
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Dataset, Endpoint
from ingest_ray.service.endpoints.collect import empty_schemas
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.child_process import log_path
from ingest_ray.service.units.configure import UnitChange, configure
from tests.cli.in_process import InProcessCli

FILE = """\
endpoints:
  - {id: shop, template: jdbc.sqlite, config: {path: shop.db}}
sinks:
  - {id: lake, template: lake.delta, config: {uri: ./lake}}
units:
  - {endpoint: shop, unit: "*", sink: lake, enabled: true, run_mode: INCREMENTAL, policy: {cursor: updated_at}}
"""


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> InProcessCli:
    monkeypatch.delenv("INGEST_HOME", raising=False)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.executescript(
            "create table orders(id integer primary key, updated_at timestamp);"
            "create table tags(name text); create table notes(id integer primary key)"
        )
    (tmp_path / "ingest.yaml").write_text(FILE)
    return InProcessCli(tmp_path, capfd)


def test_every_template_is_listed_and_shown_with_its_options(cli: InProcessCli) -> None:
    listed = [template["template_id"] for template in cli.json("templates")["templates"]]
    assert listed == [*strategy_templates(), *sink_templates()]
    for name in listed:
        code, out, _ = cli.run("templates", name)
        assert code == 0
        assert f"template: {name}" in out
    assert "lock_timeout_s" in cli.run("templates", "jdbc.postgres")[1]
    code, _, err = cli.run("templates", "jdbc.postgress")
    assert (code, "jdbc.postgres" in err) == (2, True)


def test_validate_names_every_unit_that_cannot_run_and_changes_nothing(cli: InProcessCli) -> None:
    before = cli.json("validate")
    assert (before["faults"], before["uncollected"]) == ([], ["shop"])
    assert not (cli.folder / ".ingest-ray").exists()
    cli.json("apply")
    cli.json("collect", "shop")
    found = cli.json("validate", code=2)
    assert sorted(unit["unit_id"] for unit in found["unfit"]) == ["notes", "tags"]
    assert "notes" in cli.run("validate")[1]


def test_validate_names_every_fault_of_the_file(cli: InProcessCli) -> None:
    (cli.folder / "ingest.yaml").write_text(FILE.replace("path: shop.db", "pth: x").replace("uri: ./lake", "ur: x"))
    faults = cli.json("validate", code=2)["faults"]
    assert any("endpoints[0]" in fault for fault in faults)
    assert any("sinks[0]" in fault for fault in faults)


def test_endpoints_are_listed(cli: InProcessCli) -> None:
    cli.json("apply")
    cli.json("collect", "shop")
    assert [each["endpoint_id"] for each in cli.json("endpoints")["endpoints"]] == ["shop"]


def test_datasets_are_listed(cli: InProcessCli) -> None:
    cli.json("apply")
    cli.json("collect", "shop")
    listed = cli.json("datasets", "list", "shop")["datasets"]
    assert {each["name"]: each["primary_key"] for each in listed} == {"notes": ["id"], "orders": ["id"], "tags": []}


def test_the_log_of_a_run(cli: InProcessCli) -> None:
    cli.json("apply")
    cli.json("collect", "shop")
    run_id = cli.json("run", "shop", "orders")["run_id"]
    code, _, err = cli.run("logs", run_id)
    assert (code, "has no log" in err) == (2, True)
    installation = Installation(load_settings(cli.folder / "ingest.yaml"))
    with installation.catalog.read() as connection:
        assert run_records.find(connection, run_id) is not None
    installation.catalog.close()
    path = log_path(installation, run_id)
    path.parent.mkdir()
    path.write_bytes(b"one\ntwo \x1b[31mred\n")
    for options in ((), ("--follow",)):
        code, out, _ = cli.run("logs", run_id, *options)
        assert code == 0
        assert out.splitlines()[0] == "one"
        assert "\x1b" not in out
    assert cli.run("logs", "../../etc/passwd")[0] == 2


def test_help_without_arguments_is_no_mistake(cli: InProcessCli) -> None:
    for arguments in ((), ("datasets",), ("token",)):
        code, out, err = cli.run(*arguments)
        assert (code, err) == (0, "")
        assert "Usage: ingest-ray" in out


def test_the_version_names_the_libraries(cli: InProcessCli) -> None:
    assert "pyarrow" in cli.json("version")["libraries"]


def test_patterns_and_schemas_that_select_nothing_are_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INGEST_HOME", raising=False)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop, shop:
        shop.executescript("create table orders(id integer primary key); create table people(id integer primary key)")
    cli = InProcessCli(tmp_path, capfd)
    file = tmp_path / "ingest.yaml"
    text = """
endpoints: [{id: shop, template: jdbc.sqlite, config: {path: shop.db}}]
sinks: [{id: out, template: sql, config: {url: "sqlite:///out.db"}}]
units:
  - {endpoint: shop, unit: "*", sink: out, enabled: true, run_mode: FULL}
"""
    file.write_text(text + '  - {endpoint: shop, unit: "oders*", policy: {lag: 5}}\n')
    cli.json("apply")
    collected = cli.json("collect", "shop", code=2)
    assert "no unit that matches 'oders*'" in collected["faults"][0]
    assert collected["differences"]["added"]  # what was found is kept
    refused = cli.json("apply", code=2)["error"]
    assert (refused["code"], "ingest.yaml:6" in refused["message"]) == ("E_BAD_INPUT", True)
    assert "did you mean 'orders'?" in refused["hint"]
    file.write_text(text)
    cli.json("apply")
    assert [unit["unit_id"] for unit in cli.json("run", "shop", "ord*", "people")["units"]] == ["orders", "people"]
    assert [unit["unit_id"] for unit in cli.json("status", "shop", "p*")["units"]] == ["people"]
    assert [unit["unit_id"] for unit in cli.json("verify", "shop", "[op]*")["units"]] == ["orders", "people"]
    for command in ("run", "verify", "status"):
        assert cli.json(command, "shop", "x*", code=2)["error"]["code"] == "E_INGESTION_UNIT_NOT_FOUND"


def test_a_misspelled_schema_is_named() -> None:
    endpoint = Endpoint(endpoint_id="shop", template="jdbc.postgres", config={"schemas": ["pubic", "sales"]})

    def dataset(schema: str | None) -> Dataset:
        facts: dict[str, JsonValue] = {} if schema is None else {"schema": schema}
        return Dataset(endpoint_id="shop", name="d", columns=(), facts=facts)

    (fault,) = empty_schemas(endpoint, [dataset("sales"), dataset("public")])
    assert "'pubic'" in fault
    assert "there is: public, sales" in fault
    assert len(empty_schemas(endpoint, [])) == 2
    assert empty_schemas(endpoint, [dataset(None)]) == []


def test_units_that_were_saved_in_the_console_are_named_and_taken_back(cli: InProcessCli) -> None:
    cli.json("apply")
    cli.json("collect", "shop")
    installation = Installation(load_settings(cli.folder / "ingest.yaml"))
    configure(installation, UnitRef("shop", "orders"), UnitChange(enabled=False))
    installation.catalog.close()
    applied = cli.json("apply")
    assert (applied["changes"], applied["set_by_hand"]) == ([], ["shop:orders"])
    code, out, _ = cli.run("apply")
    assert (code, "shop:orders was saved in the console" in out, "--take-back" in out) == (0, True, True)
    assert cli.json("apply", "--take-back", "--dry-run")["changes"][0]["id"] == "shop:orders"
    assert cli.json("apply")["set_by_hand"] == ["shop:orders"]  # a dry run changes nothing
    taken = cli.json("apply", "--take-back")
    assert [(change["action"], change["fields"]) for change in taken["changes"]] == [("~", ["enabled"])]
    assert taken["set_by_hand"] == []
    assert cli.json("apply", "--take-back")["changes"] == []
