"""`init`: a file in which every enabled unit is fit to run, and no secret."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from ingest_ray.config import load_config
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.service.drafting.draft import _login
from tests.cli.in_process import InProcessCli

TABLES = """
create table orders(id integer primary key, total real, updated_at timestamp);
create table tags(name text);
create table "no key"(name text, updated_at timestamp);
create table "a[b]*"(id integer primary key, updated_at timestamp);
create table "it's: {odd}, #1"(id integer primary key);
create table "two
lines"(id integer primary key, updated_at timestamp);
insert into orders values (1, 1.5, '2026-01-01 10:00:00');
insert into tags values ('new');
insert into "a[b]*" values (1, '2026-01-01 10:00:00');
"""


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> InProcessCli:
    monkeypatch.delenv("INGEST_HOME", raising=False)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop, shop:
        shop.executescript(TABLES)
    return InProcessCli(tmp_path, capfd)


def test_every_unit_of_the_file_runs(cli: InProcessCli) -> None:
    written = cli.json("init", "sqlite:///shop.db", "--to", "./lake")
    assert not (cli.folder / ".ingest-ray").exists()
    read = {unit["rule"]["unit"]: unit["rule"]["run_mode"] for unit in written["units"]}
    assert {name for name, mode in read.items() if mode == "INCREMENTAL"} == {"orders", "a[b]*", "two\nlines"}
    assert all(unit["fault"] is None for unit in written["units"])
    config = load_config(cli.folder / "ingest.yaml")
    assert {rule.unit for rule in config.rules} == read.keys()
    text = (cli.folder / "ingest.yaml").read_text()
    assert str(cli.folder) not in text  # paths are relative to the file
    assert "# rows that changed, by updated_at; key: id\n" in text
    assert cli.json("apply")["unfit"] == []
    cli.json("collect", "shop")
    assert cli.json("validate")["unfit"] == []
    done = cli.json("run", "shop")
    assert (done["state"], len(done["units"])) == ("SUCCEEDED", len(read))


def test_the_file_may_be_in_another_folder_and_have_some_tables(cli: InProcessCli) -> None:
    (cli.folder / "prod").mkdir()
    cli.json("init", "shop.db", "ord*", "--to", "duckdb:///all.duckdb", "--file", "prod/shop.yaml", "--id", "store")
    document = yaml.safe_load((cli.folder / "prod" / "shop.yaml").read_text())
    assert [rule["unit"] for rule in document["units"]] == ["orders"]
    assert document["endpoints"][0]["id"] == "store"
    cli.json("apply", "prod/shop.yaml")
    cli.json("collect", "store", "-c", "prod/shop.yaml")
    assert cli.json("run", "store", "-c", "prod/shop.yaml")["state"] == "SUCCEEDED"
    assert (cli.folder / "all.duckdb").exists()


def test_a_type_that_needs_consent_is_left_for_the_person(cli: InProcessCli, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(cli.folder / "shop.db")) as shop, shop:
        shop.execute("create table wide(id integer primary key, amount decimal(60, 10), updated_at timestamp)")
    written = cli.json("init", "sqlite:///shop.db", "wide", "orders", "--to", "sqlite:///out.db")
    units = {unit["rule"]["unit"]: unit for unit in written["units"]}
    cli.json("apply")
    cli.json("collect", "shop")
    assert cli.json("validate")["unfit"] == []
    assert units["orders"]["rule"]["enabled"] is True
    if not units["wide"]["rule"]["enabled"]:
        assert "not enabled: " in (cli.folder / "ingest.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "SOURCE is missing"),
        (["sqlite:///none.db"], "none.db"),
        (["sqlite:///shop.db", "oders"], "nothing matches 'oders'"),
        (["ftp://x/y"], "is no address"),
        (["--template", "lake.delta"], "is a sink"),
        (["--template", "no.such"], "no.such"),
        (["--template", "jdbc.sqlite", "--set", "path"], "is not FIELD=VALUE"),
        (["--template", "jdbc.sqlite", "--set", "pth=shop.db"], "'path'"),
    ],
)
def test_mistakes_write_nothing(cli: InProcessCli, arguments: list[str], message: str) -> None:
    assert message in cli.json("init", *arguments, code=2)["error"]["message"]
    assert {path.name for path in cli.folder.iterdir()} == {"shop.db"}


def test_an_existing_file_stays(cli: InProcessCli) -> None:
    (cli.folder / "ingest.yaml").write_text("home: mine\n")
    assert "exists" in cli.json("init", "shop.db", code=2)["error"]["message"]
    assert (cli.folder / "ingest.yaml").read_text() == "home: mine\n"
    cli.json("init", "shop.db", "--force")
    assert "home: .ingest-ray" in (cli.folder / "ingest.yaml").read_text()


def test_a_template_takes_its_fields(cli: InProcessCli) -> None:
    cli.json("init", "--template", "jdbc.sqlite", "--set", "path=shop.db", "--id", "shop")
    cli.json("apply")


def test_a_password_is_used_and_not_written() -> None:
    login = _login("postgresql://app:s3:c@ret@db/shop", None, "SOURCE_PASSWORD")
    assert (login.address, login.written) == ("postgresql://app@db/shop", "env:SOURCE_PASSWORD")
    assert login.used == "s3:c@ret"
    assert _login("mysql://app@db/shop", "env:P", "S") == _login("mysql://app@db/shop", "env:P", "T")
    assert _login("mysql://app@db/shop", "letmein", "S").written == "env:S"
    assert _login("mysql://app@db/shop", "let:me", "S").written == "env:S"
    with pytest.raises(ConfigError, match=r"has a secret that ingest.yaml cannot have"):
        _login("postgresql://app@db/shop?password=s3cret", None, "S")
