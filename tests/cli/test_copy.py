"""`copy`: one command from a database to a lake, and again for what has changed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.service.copying.addresses import source_endpoint, target_endpoint
from tests.cli.in_process import InProcessCli


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> InProcessCli:
    monkeypatch.delenv("INGEST_HOME", raising=False)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.executescript(
            "create table orders(id integer primary key, total real, updated_at timestamp);"
            "create table tags(name text); insert into tags values ('new');"
            "insert into orders values (1, 1.5, '2026-01-01 10:00:00'), (2, 2.5, '2026-01-02 10:00:00')"
        )
    return InProcessCli(tmp_path, capfd)


def change(cli: InProcessCli, statement: str) -> None:
    with closing(sqlite3.connect(cli.folder / "shop.db")) as shop, shop:
        shop.execute(statement)


def test_the_second_copy_takes_what_has_changed(cli: InProcessCli) -> None:
    first = cli.json("copy", "sqlite:///shop.db", "--to", "./lake")
    assert (first["state"], first["rows"]["committed"]) == ("SUCCEEDED", 3)
    choices = {choice["unit_id"]: choice for choice in first["copy"]["choices"]}
    assert (choices["orders"]["cursor"], choices["orders"]["key"]) == ("updated_at", ["id"])
    assert (choices["tags"]["cursor"], choices["tags"]["reason"]) == (None, "no column says when a row changed")
    change(cli, "update orders set total = 9, updated_at = '2026-01-03 10:00:00' where id = 1")
    second = cli.json("copy", "sqlite:///shop.db", "--to", "./lake")
    read = {unit["unit_id"]: unit["rows"]["read"] for unit in second["units"]}
    assert read["orders"] <= 2  # without the rows before the look-back
    rows = DeltaTable(str(cli.folder / "lake" / "shop" / "orders")).to_pyarrow_table().to_pylist()
    assert sorted((row["id"], row["total"]) for row in rows) == [(1, 9.0), (2, 2.5)]
    assert cli.run("status", "shop")[0] == 0
    assert cli.json("verify", "shop", "orders", "--rows")["state"] == "SUCCEEDED"


@pytest.mark.slow
def test_tables_are_selected_and_added_by_later_calls(cli: InProcessCli) -> None:
    assert len(cli.json("copy", "shop.db", "ord*", "--to", "duckdb:///all.duckdb")["units"]) == 1
    assert len(cli.json("copy", "shop.db", "tags", "--to", "duckdb:///all.duckdb")["units"]) == 1
    assert len(cli.json("run", "shop")["units"]) == 2
    with duckdb.connect(str(cli.folder / "all.duckdb"), read_only=True) as found:
        assert found.execute("select count(*) from orders").fetchone() == (2,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sqlite:///shop.db", "oders"], "nothing matches 'oders'"),
        (["https://example.atlassian.net"], "no address that copy reads"),
        (["sqlite:///shop.db", "--to", "ftp://host/x"], "no address of a sink"),
        (["sqlite:///shop.db", "--cursor", "changed"], "no table that is copied has a column 'changed'"),
        (["sqlite:///shop.db", "--key", "id,nr"], "no table that is copied has a column 'nr'"),
        (["sqlite:///none.db"], "none.db"),
    ],
)
def test_a_mistake_is_named_and_nothing_runs(cli: InProcessCli, arguments: list[str], message: str) -> None:
    code, out, err = cli.run("copy", *arguments)
    assert message in err
    assert "E_INTERNAL" not in err
    assert code in (1, 2)
    assert "SUCCEEDED" not in out


def test_a_similar_name_is_offered(cli: InProcessCli) -> None:
    assert "orders" in cli.run("copy", "shop.db", "oders")[2]


def test_a_folder_with_a_project_is_left_alone(cli: InProcessCli) -> None:
    (cli.folder / "ingest.yaml").write_text("endpoints: []\n")
    code, _, err = cli.run("copy", "shop.db")
    assert code == 2
    assert "--home DIR" in err
    assert cli.json("copy", "shop.db", "--home", "other")["copy"]["home"] == str(cli.folder / "other")


def test_a_file_gives_the_settings_of_a_copy_and_its_project_is_left_alone(
    cli: InProcessCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cli.folder / "conf").mkdir()
    (cli.folder / "conf" / "settings.yaml").write_text("home: state\n")
    copied = cli.json("copy", "shop.db", "-c", "conf/settings.yaml")
    assert copied["copy"]["home"] == str(cli.folder / "conf" / "state")
    assert len(cli.json("status", "shop", "-c", "conf/settings.yaml")["units"]) == 2
    assert not (cli.folder / ".ingest-ray").exists()
    project = "endpoints: [{id: shop, template: jdbc.sqlite, config: {path: shop.db}}]\n"
    (cli.folder / "conf" / "project.yaml").write_text(project)
    monkeypatch.setenv("INGEST_RAY_CONFIG", "conf/project.yaml")
    code, _, err = cli.run("copy", "shop.db")
    assert (code, "conf/project.yaml has a project of its own" in err, "--home DIR" in err) == (2, True, True)
    assert cli.json("copy", "shop.db", "--home", "other")["copy"]["home"] == str(cli.folder / "other")
    assert cli.run("copy", "shop.db", "-c", "none.yaml")[0] == 2


def test_another_database_of_the_same_name_is_another_endpoint(cli: InProcessCli) -> None:
    (cli.folder / "b").mkdir()
    with closing(sqlite3.connect(cli.folder / "b" / "shop.db")) as other:
        other.execute("create table t(a integer primary key)")
    assert cli.json("copy", "shop.db")["copy"]["endpoint_id"] == "shop"
    assert cli.json("copy", "b/shop.db")["copy"]["endpoint_id"] == "shop-2"
    assert cli.json("copy", "shop.db")["copy"]["endpoint_id"] == "shop"


def test_an_address_that_does_not_work_is_not_registered(cli: InProcessCli) -> None:
    """Else the right address would be another endpoint, with tables of another name."""
    (cli.folder / "shop.db").rename(cli.folder / "away.db")
    code, _, err = cli.run("copy", "shop.db")
    assert (code, "shop.db" in err, "E_INTERNAL" in err) == (2, True, False), err
    assert cli.json("endpoints")["endpoints"] == []
    (cli.folder / "lake").write_text("a file, no folder")
    (cli.folder / "away.db").rename(cli.folder / "shop.db")
    assert cli.run("copy", "shop.db")[0] != 0
    (cli.folder / "lake").unlink()
    assert cli.json("copy", "shop.db")["copy"]["endpoint_id"] == "shop"


def test_another_way_to_copy_a_loaded_table_is_told(cli: InProcessCli) -> None:
    cli.json("copy", "shop.db", "orders")
    again = cli.json("copy", "shop.db", "orders", "--full")
    assert (again["rows"]["read"], again["rows"]["committed"]) == (2, 2)
    change(cli, "delete from orders where id = 1")
    assert cli.json("copy", "shop.db", "orders", "--full")["state"] == "SUCCEEDED"
    rows = DeltaTable(str(cli.folder / "lake" / "shop" / "orders")).to_pyarrow_table().to_pylist()
    assert [row["id"] for row in rows] == [2]
    assert cli.json("copy", "shop.db", "orders")["state"] == "SUCCEEDED"


def test_a_password_is_not_written_anywhere(cli: InProcessCli) -> None:
    code, out, err = cli.run("copy", "postgresql://app:pa55-w0rd@127.0.0.1:1/shop", "--to", "lake")
    assert code in (1, 2)
    files = b"".join(path.read_bytes() for path in cli.folder.rglob("*") if path.is_file())
    assert "pa55-w0rd" not in out + err
    assert b"pa55-w0rd" not in files


@pytest.mark.parametrize(
    ("address", "template", "endpoint_id"),
    [
        ("postgresql://u@h/shop", "jdbc.postgres", "shop"),
        ("postgres://u:p%40@h:1/Shop%20Two?sslmode=require", "jdbc.postgres", "Shop-Two"),
        ("jdbc:postgresql://u@h/shop", "jdbc.postgres", "shop"),
        ("postgresql+psycopg://u@h/shop", "jdbc.postgres", "shop"),
        ("mariadb://u@h/shop", "jdbc.mysql", "shop"),
        ("sqlite:////abs/dir/x.sqlite3", "jdbc.sqlite", "x"),
        ("mssql://u@h/shop", "jdbc.mssql", "shop"),
        ("oracle://u@h/XEPDB1", "jdbc.oracle", "XEPDB1"),
    ],
)
def test_addresses_of_sources(tmp_path: Path, address: str, template: str, endpoint_id: str) -> None:
    endpoint = source_endpoint(address, "env:PW", tmp_path)
    assert (endpoint.template, endpoint.endpoint_id) == (template, endpoint_id)


@pytest.mark.parametrize(
    ("address", "template", "field", "value"),
    [
        ("lake", "lake.delta", "uri", "{here}/lake"),
        ("s3://bucket/lake", "lake.delta", "uri", "s3://bucket/lake"),
        ("duckdb:///x.duckdb", "duckdb", "path", "{here}/x.duckdb"),
        ("duckdb:////abs/x.db", "duckdb", "path", "/abs/x.db"),
        ("x.duckdb", "duckdb", "path", "{here}/x.duckdb"),
        ("sqlite:///x.db", "sql", "url", "sqlite:///{here}/x.db"),
        ("x.db", "sql", "url", "sqlite:///{here}/x.db"),
        ("mysql://u@h/wh", "sql", "url", "mysql://u@h/wh"),
    ],
)
def test_addresses_of_targets(tmp_path: Path, address: str, template: str, field: str, value: str) -> None:
    endpoint = target_endpoint(address, None, tmp_path)
    assert (endpoint.template, endpoint.config[field]) == (template, value.format(here=tmp_path))


def test_an_address_in_an_error_has_no_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        source_endpoint("ftp://me:secret@host/x", None, tmp_path)
    assert "secret" not in str(caught.value)
