"""A unit with masks, read on Ray with its state in Redis and asked for over GraphQL: no plain value is anywhere."""

import logging
import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest_ray.service.access.roles import Role
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import run
from tests.cluster.test_a_run_leaves_no_secret import CONTRACT_QUERIES
from tests.graphql.client import Client
from tests.graphql.test_whole_story import everything
from tests.service.workspace import ALL, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.services]

PLAIN = (b"ada@example.com", b"Lovelace", b"411111111111", b"1815-12-10", b"grace@example.com", b"411111119999")
SEARCHED = [(name, arguments.replace('"shop"', '"people"')) for name, arguments in CONTRACT_QUERIES]


@pytest.fixture
def people(tmp_path: Path, redis_url: str) -> Workspace:
    there = Workspace(tmp_path / "home")
    file = tmp_path / "source.db"
    there.folder.mkdir()
    connection = sqlite3.connect(file)
    connection.executescript(
        """
        CREATE TABLE staff (id INTEGER PRIMARY KEY, at INTEGER, email TEXT, name TEXT, card TEXT, born DATE);
        INSERT INTO staff VALUES (1, 1, 'ada@example.com', 'Ada Lovelace', '4111111111111234', '1815-12-10');
        INSERT INTO staff VALUES (2, 2, x'ff67726163654065', 'grace@example.com', '4111111199995678', '1906-12-09');
        """
    )
    connection.close()
    mask = {"email": "hmac", "name": "redact", "card": "last4", "born": "year"}
    policy = {"cursor": "at", "mask": mask, "write": "upsert"}
    there.document = {
        "kv": redis_url,
        "ray": {"inline_below": 0, "num_cpus": 1},
        "serve": {"max_cost": 10_000_000},
        "endpoints": [{"id": "people", "template": "jdbc.sqlite", "config": {"path": str(file)}}],
        "sinks": [{"id": "lake", "template": "lake.delta", "config": {"uri": "./lake"}}],
        "units": [{**ALL, "endpoint": "people", "unit": "staff", "run_mode": "INCREMENTAL", "policy": policy}],
    }
    there.apply()
    return there


def test_no_plain_value_is_in_files_redis_logs_or_answers(
    people: Workspace, cluster: Any, redis_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    collect(people.installation, "people")
    report = run(people.installation, "people", ["staff"])
    (unit,) = report.units
    assert (report.state, unit.executor, unit.rows.committed, unit.rows.quarantined) == ("SUCCEEDED", "ray", 1, 1)
    left = {"log": caplog.text.encode(), "report": report.model_dump_json().encode()}
    left |= {str(file): content_of(file) for file in people.folder.rglob("*") if file.is_file()}
    left |= stored_in(redis_server)
    left |= answers(Client(people.installation), report.units[0].run_id)
    for part in ("/quarantine/", ".parquet", "redis "):
        assert any(part in name for name in left), part
    assert [(name, plain) for name, content in left.items() for plain in PLAIN if plain in content] == []


def content_of(file: Path) -> bytes:
    content = file.read_bytes()
    return (
        content + repr(duckdb.sql(f"SELECT * FROM '{file}'").fetchall()).encode()
        if file.suffix == ".parquet"
        else content
    )


def stored_in(server: Any) -> dict[str, bytes]:
    import redis

    client = redis.Redis(port=server.port)
    found = {}
    for key in client.scan_iter():
        read = {b"hash": client.hgetall, b"string": client.get, b"zset": lambda name: client.zrange(name, 0, -1)}
        found[f"redis {key.decode()}"] = repr(read[client.type(key)](key)).encode()
    client.close()
    return found


def answers(client: Client, run_id: str) -> dict[str, bytes]:
    queries = {name: everything(name, arguments, 2) for name, arguments in SEARCHED}
    queries["preview"] = 'mutation { previewMetadataDataset(id: "people:staff", limit: 5) { rows } }'
    queries["plan"] = '{ ingestionPlan(endpointId: "people", unitId: "staff") { facts certificate { note } } }'
    queries["run"] = f'{{ ingestionRun(id: "{run_id}") {{ state rows {{ quarantined }} error {{ message hint }} }} }}'
    found = {}
    with client.http:
        for name, query in queries.items():
            answer = client.post(query, role=Role.ADMIN)
            assert "errors" not in answer.json(), answer.text
            found[f"answer {name}"] = answer.content
    assert b"***" in found["answer preview"]
    return found
