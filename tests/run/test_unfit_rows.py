"""Rows that a sink cannot hold: in quarantine, while all others land, and no table is replaced by next to nothing."""

import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.quarantine.rejected_rows import list_quarantine, read_rejected_rows
from ingest_ray.sdk.types import RunState
from ingest_ray.sinks.databases.model_sink import SqlModelSink
from ingest_ray.testing.servers.mariadb import MariaDatabase
from ingest_ray.testing.servers.postgres import Postgres
from tests.cli.in_process import InProcessCli
from tests.run.test_cdm import COMMENT, MAPPING, CdmInstallation

pytestmark = pytest.mark.services

CONFIG = """\
ray: {{inline_below: 1073741824}}
endpoints:
  - {{id: shop, template: {template}, config: {source}}}
sinks:
  - {{id: there, template: {sink}}}
units:
  - {{endpoint: shop, unit: "*", sink: there, enabled: true, run_mode: FULL, policy: {policy}}}
"""


class Shop:
    """Units of a source, and one sink, run by the command line."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder, self.cli = folder, InProcessCli(folder, capfd)

    def set_up(self, template: str, source: str, sink: str, policy: str = "{}") -> None:
        text = CONFIG.format(template=template, source=source, sink=sink, policy=policy)
        (self.folder / "ingest.yaml").write_text(text)
        self.cli.json("apply")
        self.cli.json("collect", "shop")

    def run(self, unit: str, code: int = 0) -> dict[str, Any]:
        document: dict[str, Any] = self.cli.json("run", "shop", unit, code=code)
        return document

    def rejected(self) -> list[dict[str, Any]]:
        """Each rejected row's raw values, with its column and reason."""
        root = str(self.folder / ".ingest-ray" / "quarantine")
        entries = list_quarantine(root)
        rows = [row for entry in entries for row in read_rejected_rows(entry.uri)]
        return [{**row.raw, "column": row.column, "reason": row.reason} for row in rows]


@pytest.fixture
def shop(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Shop:
    return Shop(tmp_path, capfd)


def from_postgres(pg: Postgres) -> tuple[str, str]:
    return "jdbc.postgres", f'{{url: "{pg.url}", schemas: [public]}}'


def test_values_that_mariadb_cannot_hold_cost_their_rows_only(shop: Shop, pg: Postgres, mariadb: MariaDatabase) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, f float8, d date, at timestamp, deep date[])")
    pg.run("INSERT INTO t SELECT i, i, '2024-01-01', '2024-01-01', '{2024-01-01}' FROM generate_series(1, 20) i")
    pg.run("INSERT INTO t (id, f) VALUES (21, 'NaN'), (22, 'infinity'), (23, '-infinity')")
    pg.run("INSERT INTO t (id, d) VALUES (24, '10000-01-01'), (25, '0044-03-15 BC')")
    pg.run("INSERT INTO t (id, at) VALUES (26, '12024-01-01'), (27, '0044-03-15 BC')")
    pg.run("INSERT INTO t (id, deep) VALUES (28, '{10000-01-01}')")
    shop.set_up(*from_postgres(pg), f'sql, config: {{url: "{mariadb.url}"}}')
    rows = shop.run("public.t")["rows"]
    assert (rows["read"], rows["staged"], rows["committed"], rows["quarantined"]) == (28, 20, 20, 8)
    assert [row["id"] for row in mariadb.run("select id from public_t order by id")] == list(range(1, 21))
    found = {row["id"]: row for row in shop.rejected()}
    assert {key: row["column"] for key, row in found.items()} == {
        **dict.fromkeys((21, 22, 23), "f"),
        **dict.fromkeys((24, 25), "d"),
        **dict.fromkeys((26, 27), "at"),
        28: "deep",
    }
    assert math.isnan(found[21]["f"])
    assert (found[22]["f"], found[24]["d"], found[28]["deep"]) == (math.inf, "10000-01-01", ["10000-01-01"])
    assert shop.run("public.t")["rows"]["committed"] == 20


def test_text_that_postgres_cannot_hold_costs_its_row_only(shop: Shop, pg: Postgres, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "s.db") as source:
        source.execute("create table t (id integer primary key, v text)")
        source.executemany("insert into t values (?, ?)", [(n, "a\0b" if n % 7 == 0 else "a") for n in range(1, 30)])
    source.close()
    shop.set_up("jdbc.sqlite", f'{{url: "sqlite:///{tmp_path}/s.db"}}', f'sql, config: {{url: "{pg.url}"}}')
    rows = shop.run("t")["rows"]
    assert (rows["committed"], rows["quarantined"]) == (25, 4)
    assert pg.run("select count(*) from t") == [[25]]
    assert [(row["id"], row["v"], row["column"]) for row in shop.rejected()] == [
        (n, "a\0b", "v") for n in (7, 14, 21, 28)
    ]


def test_a_row_above_the_servers_packet_is_named_with_the_setting(
    shop: Shop, pg: Postgres, mariadb: MariaDatabase
) -> None:
    ((most,),) = [tuple(row.values()) for row in mariadb.run("select @@global.max_allowed_packet")]
    pg.run("CREATE TABLE t (id int PRIMARY KEY, v text, b bytea)")
    pg.run("INSERT INTO t SELECT i, repeat('x', 70000), NULL FROM generate_series(1, 10) i")
    pg.run("INSERT INTO t VALUES (11, repeat('''', 600000), NULL), (12, NULL, convert_to(repeat('b', 700000), 'UTF8'))")
    shop.set_up(*from_postgres(pg), f'sql, config: {{url: "{mariadb.url}"}}')
    mariadb.run("set global max_allowed_packet = 1048576")
    try:
        rows = shop.run("public.t")["rows"]
    finally:
        mariadb.run(f"set global max_allowed_packet = {most}")
    assert (rows["committed"], rows["quarantined"]) == (10, 2)
    found = {row["id"]: row for row in shop.rejected()}
    assert {key: row["column"] for key, row in found.items()} == {11: "v", 12: "b"}
    assert all("max_allowed_packet is 1048576" in row["reason"] for row in found.values())


def test_values_that_only_the_database_refuses_are_found_row_by_row(shop: Shop, pg: Postgres, tmp_path: Path) -> None:
    pg.run("CREATE TABLE s (id int PRIMARY KEY, v bytea)")
    names = [f"c{number}" for number in range(700)]
    with sqlite3.connect(tmp_path / "s.db") as source:
        source.execute(f"create table wide (id integer primary key, {', '.join(f'{name} text' for name in names)})")
        for number in range(30):  # a pointer to each long text: such a row is longer than a page of PostgreSQL
            value = str(number) * 40 if number in (3, 4, 17) else None
            source.execute(f"insert into wide values ({', '.join('?' * 701)})", (number, *[value] * 700))
    source.close()
    shop.set_up("jdbc.sqlite", f'{{url: "sqlite:///{tmp_path}/s.db"}}', f'sql, config: {{url: "{pg.url}"}}')
    rows = shop.run("wide")["rows"]
    assert (rows["committed"], rows["quarantined"]) == (27, 3)
    assert sorted(row["id"] for row in shop.rejected()) == [3, 4, 17]
    assert all("too big" in row["reason"] for row in shop.rejected())


@pytest.mark.parametrize("policy", ["{write: replace}", "{write: replace, max_quarantine_fraction: 0.1}"])
def test_a_full_refresh_that_has_next_to_no_rows_left_replaces_nothing(
    shop: Shop, pg: Postgres, tmp_path: Path, policy: str
) -> None:
    is_all = "fraction" not in policy
    pg.run("CREATE TABLE t (id int PRIMARY KEY, d date)")
    pg.run("INSERT INTO t SELECT i, '2024-01-01' FROM generate_series(1, 20) i")
    shop.set_up(*from_postgres(pg), "lake.delta, config: {uri: ./lake}", policy)
    assert shop.run("public.t")["rows"]["committed"] == 20
    pg.run(f"UPDATE t SET d = 'infinity' WHERE id <= {20 if is_all else 3}")
    failed = shop.run("public.t", code=1)
    assert failed["error"]["code"] == "E_QUARANTINE_LIMIT"
    assert "infinite date" in failed["error"]["message"]
    assert f"{20 if is_all else 3} of 20 " in failed["error"]["message"]
    pg.run("UPDATE t SET d = '2024-01-02' WHERE id > 1")
    assert shop.run("public.t")["rows"]["committed"] == 19


def test_a_run_that_lands_nothing_because_no_row_fits_is_no_success(shop: Shop, pg: Postgres, tmp_path: Path) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, f float8)")
    pg.run("INSERT INTO t VALUES (1, 'NaN'), (2, 'NaN')")
    shop.set_up(*from_postgres(pg), f"sql, config: {{url: 'sqlite:///{tmp_path}/k.db'}}", "{write: append}")
    failed = shop.run("public.t", code=1)
    assert failed["error"]["code"] == "E_QUARANTINE_LIMIT"
    assert "2 of 2 rows" in failed["error"]["message"]


@pytest.fixture
def win1252(pg: Postgres) -> Iterator[Postgres]:
    """A database that has no Cyrillic letters."""
    name = f"{pg.name}_win"
    pg.run(f"CREATE DATABASE {name} ENCODING 'WIN1252' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    database = Postgres(pg.folder, name)
    yield database
    database.close()


@pytest.mark.parametrize("is_declared", [True, False])
def test_a_source_row_of_which_a_model_row_does_not_fit_makes_no_row_of_any_model(
    tmp_path: Path, win1252: Postgres, monkeypatch: pytest.MonkeyPatch, is_declared: bool
) -> None:
    if not is_declared:  # the database finds the values
        monkeypatch.setattr(SqlModelSink, "find_misfits", lambda self, schema, batch, converts=False: {})
    body = "case when id in (7, 400) then 'Ж' else payload end"
    models = {**MAPPING, COMMENT: {**MAPPING[COMMENT], "body": body}}
    there = CdmInstallation(tmp_path, url=win1252.url, models=models)
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert (summary.rows.committed, summary.rows.quarantined) == (1198, 2)
    for table in ("item", "comment"):
        assert win1252.run(f"select count(*) from cdm_work.cdm_work_{table} where _source_key in ('7', '400')") == [[0]]
        assert win1252.run(f"select count(*) from cdm_work.cdm_work_{table}") == [[1198]]
    entries = list_quarantine(there.settings.quarantine_uri)
    assert sorted(row.raw["id"] for entry in entries for row in read_rejected_rows(entry.uri)) == [7, 400]


def test_what_the_encoding_of_the_sink_has_not_costs_its_row_only(shop: Shop, pg: Postgres, win1252: Postgres) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    pg.run("INSERT INTO t VALUES (1, 'Größe €'), (2, 'Ж'), (3, 'plain')")
    shop.set_up(*from_postgres(pg), f'sql, config: {{url: "{win1252.url}"}}')
    rows = shop.run("public.t")["rows"]
    assert (rows["committed"], rows["quarantined"]) == (2, 1)
    assert win1252.run("select v from public_t order by id") == [["Größe €"], ["plain"]]
    assert [row["v"] for row in shop.rejected()] == ["Ж"]
