"""Masks over PostgreSQL and MariaDB: equal values join, a value that a server quotes in an error stays hidden, and SQL sinks take masks."""

import logging
from typing import Any

import pytest

from ingest_ray.engine.masking.keyed_hash import KeyedHash
from ingest_ray.run.comparison.verify import VerifyOptions, verify_unit
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.secrets.mask_key import read_mask_key
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import run
from ingest_ray.service.units.gate import gate
from ingest_ray.testing.servers.mariadb import MariaDatabase
from ingest_ray.testing.servers.postgres import Postgres
from tests.service.workspace import ALL, Workspace

ADA = "ada@example.com"
PEOPLE = """
CREATE TABLE people (
    id integer PRIMARY KEY, email varchar(80) UNIQUE, padded char(40), number numeric(20, 2), token uuid, card text,
    born date, seen timestamptz, document jsonb, tags text[]
);
INSERT INTO people SELECT n, CASE n WHEN 1 THEN 'ada@example.com' ELSE 'user' || n END, 'ada@example.com', 42,
    'AAAAAAAA-0000-0000-0000-000000000001', '4111111111111234', '1815-12-10', '2024-06-01 12:00:00+02',
    '{"email": "ada@example.com"}', ARRAY['ada@example.com'] FROM generate_series(1, 500) n;
CREATE VIEW broken AS SELECT id, email, email::integer AS number FROM people;
"""
MASK = {
    "email": "hmac",
    "padded": "hmac",
    "number": "hmac",
    "token": "hmac",
    "card": "last4",
    "born": "year",
    "seen": "year",
    "document": "redact",
    "tags": "redact",
}


@pytest.fixture
def company(workspace: Workspace, pg: Postgres, mariadb: MariaDatabase) -> Workspace:
    pg.run(PEOPLE)
    mariadb.run("CREATE TABLE orders (id BIGINT PRIMARY KEY, buyer VARCHAR(90), number BIGINT, token UUID)")
    mariadb.run(f"INSERT INTO orders VALUES (1, '{ADA}', 42, 'aaaaaaaa-0000-0000-0000-000000000001')")
    workspace.document["endpoints"] = [
        {"id": "shop", "template": "jdbc.postgres", "config": {"url": pg.url, "schemas": ["public"]}},
        {"id": "web", "template": "jdbc.mysql", "config": {"url": mariadb.url}},
    ]
    workspace.document["sinks"].append({"id": "warehouse", "template": "sql", "config": {"url": "sqlite:///out.db"}})
    workspace.document["sinks"].append({"id": "mart", "template": "sql", "config": {"url": pg.url, "schema": "mart"}})
    pg.run("CREATE SCHEMA mart")
    return workspace


def set_up(company: Workspace, sink: str, mask: Any = MASK, **people: Any) -> None:
    buyers = {"buyer": "hmac", "number": "hmac", "token": "hmac"}
    company.document["units"] = [
        {
            **ALL,
            "unit": "public.people",
            "sink": sink,
            "table": "{table}",
            "policy": {"mask": mask, "write": "upsert", **people},
        },
        {**ALL, "unit": "public.broken", "sink": sink, "policy": {"mask": {"email": "hmac"}}},
        {**ALL, "endpoint": "web", "unit": "*", "sink": sink, "table": "{table}", "policy": {"mask": buyers}},
    ]
    company.apply()
    for endpoint in ("shop", "web"):
        assert collect(company.installation, endpoint).unfit == ()


def load(company: Workspace, endpoint: str, unit: str) -> None:
    report = run(company.installation, endpoint, [unit])
    assert report.state == "SUCCEEDED", [one.error for one in report.units]
    compared = verify_unit(gate(company.installation, UnitRef(endpoint, unit)), VerifyOptions(with_values=True))
    assert (compared.state, compared.compared) == ("SUCCEEDED", "rows")


def test_equal_values_of_two_databases_have_one_mask(company: Workspace, pg: Postgres) -> None:
    set_up(company, "mart", target_slice_bytes=65536)
    load(company, "shop", "public.people")
    load(company, "web", next(iter_units(company, "web")))
    key = read_mask_key(company.installation.settings)
    (person,) = pg.run(
        "SELECT email, padded, number, token, card, born, seen, document, tags FROM mart.people WHERE id = 1"
    )
    (order,) = pg.run("SELECT buyer, number, token FROM mart.orders")
    ada, number = KeyedHash(key).hash_value(ADA.encode()), KeyedHash(key).hash_value(b"42")
    token = KeyedHash(key).hash_value(b"aaaaaaaa-0000-0000-0000-000000000001")
    assert list(person) == [ada, ada, number, token, "1234", 1815, 2024, "***", None]
    assert list(order) == [ada, number, token]


def iter_units(company: Workspace, endpoint: str) -> Any:
    from ingest_ray.service.units.listing import list_units

    return (unit.unit_id for unit in list_units(company.installation, endpoint).units)


def test_a_value_that_the_server_quotes_in_an_error_is_withheld(
    company: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    set_up(company, "warehouse")
    report = run(company.installation, "shop", ["public.broken"])
    assert report.state == "FAILED"
    assert "***" in str(report.units[0].error)
    for text in (report.model_dump_json(), caplog.text):
        assert ADA not in text
    for file in company.folder.rglob("*"):
        if file.is_file():
            assert ADA.encode() not in file.read_bytes(), file


def test_nested_columns_are_redacted_or_refused(company: Workspace) -> None:
    set_up(company, "warehouse")
    with pytest.raises(AssertionError, match="E_BAD_INPUT"):
        set_up(company, "warehouse", {"tags": "hmac"})
    with pytest.raises(ConfigError, match="does not fit column 'tags'"):
        gate(company.installation, UnitRef("shop", "public.people"))
