"""Masked columns: what lands, what is refused, and that no plain value is anywhere."""

import logging
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable

from ingest_ray.cli.main import run_command
from ingest_ray.engine.masking.keyed_hash import KeyedHash
from ingest_ray.run.comparison.verify import VerifyOptions, verify_unit
from ingest_ray.sdk.errors import ConfigError, IngestError, TargetChanged
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.secrets.mask_key import read_mask_key
from ingest_ray.service.access.key_rotation import rotate_key
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.endpoints.provision import provision
from ingest_ray.service.runs import quarantine
from ingest_ray.service.runs.admission import RunOptions
from ingest_ray.service.runs.execution import RunReport, plan, run
from ingest_ray.service.units.gate import gate
from ingest_ray.service.units.preview import preview
from ingest_ray.service.units.reset import reset
from tests.service.workspace import ALL, Workspace

PEOPLE = UnitRef("shop", "people")
MASK = {"email": "hmac", "name": "redact", "card": "last4", "born": "year", "salary": "redact"}
SECRETS = (
    "ada@example.com",
    "grace@example.com",
    "Lovelace",
    "Hopper",
    "411111111111",
    "1815-12-10",
    "1906-12-09",
    "98765",
)


@pytest.fixture
def shop(workspace: Workspace) -> Workspace:
    file = workspace.folder / "source" / "shop.db"
    file.parent.mkdir()
    connection = sqlite3.connect(file)
    connection.executescript(
        """
        CREATE TABLE people (id INTEGER PRIMARY KEY, at INTEGER, email TEXT UNIQUE, name TEXT, card TEXT, born DATE, salary REAL);
        INSERT INTO people VALUES (1, 1, 'ada@example.com', 'Ada Lovelace', '4111111111111234', '1815-12-10', 98765.25);
        INSERT INTO people VALUES (2, 2, 'grace@example.com', 'Grace Hopper', '4111111111115678', '1906-12-09', 98765.5);
        INSERT INTO people VALUES (3, 3, NULL, NULL, '123', NULL, NULL);
        CREATE TABLE orders (id INTEGER PRIMARY KEY, at INTEGER, buyer VARCHAR(80));
        INSERT INTO orders VALUES (1, 1, 'ada@example.com');
        """
    )
    connection.close()
    workspace.document["endpoints"] = [{"id": "shop", "template": "jdbc.sqlite", "config": {"path": str(file)}}]
    workspace.document["sinks"].append({"id": "out", "template": "sql", "config": {"url": "sqlite:///out.db"}})
    return workspace


def source(shop: Workspace, statement: str) -> None:
    with sqlite3.connect(shop.folder / "source" / "shop.db") as connection:
        connection.execute(statement)
    connection.close()


def rule(shop: Workspace, mask: Any = MASK, **policy: Any) -> Any:
    fields = {"unit": "people", "run_mode": "INCREMENTAL", "policy": {"cursor": "at", "mask": mask, **policy}}
    shop.document["units"] = [
        {**ALL, **fields},
        {**ALL, "unit": "orders", "policy": {"mask": {"buyer": "hmac"}}},
    ]
    shop.apply()
    return collect(shop.installation, "shop")


def load(shop: Workspace, *units: str) -> RunReport:
    report = run(shop.installation, "shop", units or ["people"])
    assert report.state == "SUCCEEDED", [unit.error for unit in report.units]
    return report


def rows(shop: Workspace, unit: str = "people") -> list[dict[str, Any]]:
    table = DeltaTable(shop.folder / "lake" / "shop" / unit).to_pyarrow_table()
    kept = [name for name in table.column_names if not name.startswith("_")]
    return sorted(table.select(kept).to_pylist(), key=lambda row: row["id"])


def assert_nothing_plain(shop: Workspace, *texts: str) -> None:
    """Searches every file below the workspace, except the source, and Parquet as rows, too."""
    for file in shop.folder.rglob("*"):
        if not file.is_file() or file.parent.name == "source" or file.name == "ingest.yaml":
            continue
        content = file.read_bytes()
        if file.suffix == ".parquet":
            content += repr(duckdb.sql(f"SELECT * FROM '{file}'").fetchall()).encode()
        for secret in SECRETS:
            assert secret.encode() not in content, f"{secret} in {file}"
    for text in texts:
        for secret in SECRETS:
            assert secret not in text


@pytest.mark.slow
def test_values_are_masked_and_equal_ones_join(shop: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    rule(shop)
    load(shop, "people", "orders")
    key = read_mask_key(shop.installation.settings)
    ada = KeyedHash(key).hash_value(b"ada@example.com")
    assert rows(shop) == [
        {"id": 1, "at": 1, "email": ada, "name": "***", "card": "1234", "born": 1815, "salary": None},
        {
            "id": 2,
            "at": 2,
            "email": KeyedHash(key).hash_value(b"grace@example.com"),
            "name": "***",
            "card": "5678",
            "born": 1906,
            "salary": None,
        },
        {"id": 3, "at": 3, "email": None, "name": None, "card": "****", "born": None, "salary": None},
    ]
    assert rows(shop, "orders")[0]["buyer"] == ada
    report = verify_unit(gate(shop.installation, PEOPLE), VerifyOptions(with_values=True))
    assert (report.state, report.compared, report.rows_at_source) == ("SUCCEEDED", "rows", 3)
    shown = preview(shop.installation, PEOPLE)
    assert shown.rows[0]["email"] == ada
    assert dict(zip(shown.columns, shown.types, strict=True))["born"] == "int32"
    assert_nothing_plain(shop, caplog.text, report.model_dump_json(), shown.model_dump_json())
    source(
        shop, "UPDATE people SET email = 'new@example.com' WHERE id = 1"
    )  # without a new cursor: only verify sees it
    report = verify_unit(gate(shop.installation, PEOPLE), VerifyOptions(with_values=True, repair=True))
    assert (report.different, report.repaired, report.remaining) == (1, 1, 0)
    assert rows(shop)[0]["email"] == KeyedHash(key).hash_value(b"new@example.com")
    assert "new@example.com" not in caplog.text


def test_the_plan_shows_masks_and_their_types(shop: Workspace) -> None:
    found = rule(shop)
    assert found.unfit == ()
    planned = plan(shop.installation, PEOPLE)
    lines = {line.column: line for line in planned.certificate}
    assert planned.facts["masked"] == "born: year, card: last4, email: hmac, name: redact, salary: redact"
    assert (lines["email"].arrow, lines["email"].note) == ("string", "masked: hmac")
    assert (lines["born"].arrow, lines["salary"].arrow) == ("int32", "float64")
    assert "mask" not in str(lines["id"].note)


@pytest.mark.parametrize(
    ("mask", "policy", "message"),
    [
        ({"emial": "hmac"}, {}, "names column 'emial'"),
        ({"id": "hmac"}, {}, "'id', which is its key"),
        ({"at": "redact"}, {}, "'at', which is its cursor"),
        ({"email": "hmac"}, {"primary_key": ["email"]}, "'email', which is its key"),
        ({"salary": "hmac"}, {}, "'hmac' does not fit column 'salary'"),
        ({"salary": "last4"}, {}, "'last4' does not fit column 'salary'"),
        ({"salary": "year"}, {}, "'year' does not fit column 'salary'"),
    ],
)
def test_what_cannot_be_masked_is_refused_by_name(shop: Workspace, mask: Any, policy: Any, message: str) -> None:
    found = rule(shop, mask, **policy)
    assert [(unit.unit_id, unit.code) for unit in found.unfit] == [("people", "E_BAD_INPUT")]
    assert message in found.unfit[0].message
    with pytest.raises(ConfigError, match=message.split("'")[1]):
        plan(shop.installation, PEOPLE)


def test_an_unknown_mask_is_a_fault_of_the_file(shop: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"mask\.email"):
        rule(shop, {"email": "sha1"})


def test_masks_of_a_unit_that_never_ran_can_be_changed(shop: Workspace) -> None:
    rule(shop)
    assert rule(shop, {"email": "hmac"}).unfit == ()  # before the state store has a table


def test_a_later_rule_adds_masks_and_takes_one_away(shop: Workspace) -> None:
    shop.document["units"] = [
        {**ALL, "unit": "people", "policy": {"mask": {"email": "hmac", "name": "redact"}}},
        {"endpoint": "shop", "unit": "p*", "policy": {"mask": {"name": None, "card": "last4"}}},
    ]
    shop.apply()
    collect(shop.installation, "shop")
    assert gate(shop.installation, PEOPLE).spec.policy.masks == {"email": "hmac", "card": "last4"}


def test_other_masks_for_a_loaded_unit_are_refused_until_it_is_reset(shop: Workspace) -> None:
    rule(shop, {})
    load(shop)
    rule(shop)
    for use in (gate, plan):
        with pytest.raises(TargetChanged, match="loaded with no masks") as caught:
            use(shop.installation, PEOPLE)
    assert caught.value.code == "E_TARGET_CHANGED"
    assert "reset" in str(caught.value.hint)
    assert [unit.code for unit in shop.apply().unfit] == []  # nothing changed in this apply
    reset(shop.installation, PEOPLE)
    shutil.rmtree(shop.folder / "lake" / "shop" / "people")
    load(shop)
    assert rows(shop)[0]["name"] == "***"
    rule(shop, {**MASK, "card": "redact"})
    with pytest.raises(TargetChanged, match="last4"):
        run(shop.installation, "shop", ["people"])


def test_the_apply_that_changes_masks_of_a_loaded_unit_says_so(shop: Workspace) -> None:
    rule(shop, {})
    load(shop)
    shop.document["units"][0]["policy"]["mask"] = MASK
    assert [unit.code for unit in shop.apply().unfit] == ["E_TARGET_CHANGED"]


def test_rotating_the_sealing_key_changes_no_mask_and_another_mask_key_is_refused(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule(shop)
    load(shop)
    before, file = rows(shop), Path(shop.installation.settings.home) / "mask.key"
    sealed = file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    rotate_key(shop.installation)
    assert file.read_text() != sealed
    source(shop, "UPDATE people SET at = 9 WHERE id = 1")
    assert load(shop).rows.committed >= 1
    assert [row["email"] for row in rows(shop)] == [row["email"] for row in before]
    monkeypatch.setenv("MASK_KEY", "0123456789abcdef0123")
    shop.document["mask_key"] = "env:MASK_KEY"
    shop.apply()
    with pytest.raises(TargetChanged, match="hmac"):
        gate(shop.installation, PEOPLE)
    monkeypatch.setenv("MASK_KEY", "short")
    with pytest.raises(ConfigError, match="mask_key"):
        gate(shop.installation, PEOPLE)


def test_a_lost_mask_key_is_named(shop: Workspace) -> None:
    rule(shop)
    load(shop)
    (Path(shop.installation.settings.home) / "mask.key").unlink()
    with pytest.raises(ConfigError, match=r"mask\.key"):
        gate(shop.installation, PEOPLE)


def test_rejected_rows_are_masked_and_can_be_replayed(shop: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    source(shop, "CREATE TABLE odd (id INTEGER PRIMARY KEY, email TEXT, paid DATE, born DATE)")
    source(shop, "INSERT INTO odd VALUES (1, 'ada@example.com', '2024-01-01', '1815-12-10')")
    source(shop, "INSERT INTO odd VALUES (2, 'grace@example.com', '2024-13-45', '1906-12-09')")
    source(shop, "INSERT INTO odd VALUES (3, x'ff00', '2024-01-01', '411111111111')")
    fields = {"write": "upsert", "mask": {"email": "hmac", "born": "year"}}
    shop.document["units"] = [{**ALL, "unit": "odd", "policy": fields}]
    shop.apply()
    collect(shop.installation, "shop")
    report = load(shop, "odd")
    assert report.rows.quarantined == 2
    shown = quarantine.show_rejected(shop.installation, "shop")
    assert "2024-13-45" in shown.model_dump_json()
    assert_nothing_plain(shop, caplog.text, shown.model_dump_json(), report.model_dump_json())
    assert quarantine.replay(shop.installation, "shop", "odd").rows.committed == 0  # neither has become right
    shop.document["units"][0]["policy"]["mask"] = {"email": "hmac"}
    shop.apply()
    reset(shop.installation, UnitRef("shop", "odd"))
    report = quarantine.replay(shop.installation, "shop", "odd")
    assert report.state == "FAILED"
    assert "other masks" in str(report.units[0].error)


def test_errors_of_the_source_do_not_quote_values() -> None:
    from ingest_ray.engine.masking.masked_source import MaskedSource
    from ingest_ray.sdk.errors import SourceUnavailable
    from ingest_ray.sdk.types import Column, Dataset, Endpoint, Policy, UnitConfig, UnitSpec
    from ingest_ray.testing.scripted import Scripted

    endpoint = Endpoint(endpoint_id="shop", template="testing.scripted")
    dataset = Dataset(endpoint_id="shop", name="t", columns=(Column(name="email", source_type="text", arrow="string"),))
    config = UnitConfig(endpoint_id="shop", unit_id="t", sink_id="lake", policy=Policy(mask={"email": "redact"}))
    spec = UnitSpec(endpoint=endpoint, dataset=dataset, config=config)
    masked = MaskedSource(Scripted(), spec, lambda: b"")
    for error in (
        SourceUnavailable("column 'email': invalid input \"ada@example.com\"\nDETAIL: Key (email)=(ada@example.com)"),
        ValueError("could not convert 'ada@example.com'"),
    ):
        with pytest.raises((IngestError, RuntimeError)) as caught, masked._withheld():
            raise error
        assert "ada" not in str(caught.value)
    assert "'***'" in str(caught.value)


def test_the_command_line_shows_only_masks(shop: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    rule(shop)
    file = str(shop.file)
    for command in (
        ["run", "shop", "people"],
        ["plan", "shop", "people"],
        ["preview", "shop", "people"],
        ["verify", "shop", "people", "--rows"],
        ["status"],
        ["history", "shop"],
    ):
        assert run_command([*command, "--config", file]) == 0
    said = capsys.readouterr()
    assert_nothing_plain(shop, said.out, said.err)
    assert "masked: hmac" in said.out or "hmac" in said.out


@pytest.mark.slow
def test_models_are_made_of_masked_rows(shop: Workspace) -> None:
    shop.document["sinks"].append({"id": "models", "template": "cdm.jdbc", "config": {"url": "sqlite:///cdm.db"}})
    fields = {
        "cdm_id": "cdm_id('cdm.work.user', id)",
        "source_user_id": "coalesce(email, 'none')",
        "display_name": "coalesce(name || ' ' || born, 'nobody')",
        "email": "card",
    }
    shop.document["units"] = [
        {
            "endpoint": "shop",
            "unit": "people",
            "enabled": True,
            "mode": "cdm",
            "sink_endpoint": "models",
            "policy": {"mask": MASK, "keep_staging": "1d"},
            "cdm": {"models": {"cdm.work.user": fields}},
        }
    ]
    shop.apply()
    collect(shop.installation, "shop")
    provision(shop.installation, "models", "cdm.work.user")
    load(shop)
    with sqlite3.connect(shop.folder / "cdm.db") as connection:
        names = {row[0] for row in connection.execute("SELECT display_name FROM cdm_work_user")}
    assert names == {"*** 1815", "*** 1906", "nobody"}
    assert_nothing_plain(shop)
    assert run(shop.installation, "shop", ["people"], options=RunOptions(task="remap")).state == "SUCCEEDED"
    reset(shop.installation, PEOPLE)
    shop.document["units"][0]["policy"]["mask"] = {**MASK, "card": "redact"}
    shop.apply()
    load(shop)
    report = run(shop.installation, "shop", ["people"], options=RunOptions(task="remap"))
    assert "other masks" in str(report.units[0].error)
