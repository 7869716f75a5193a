"""From an issue's bytes to its row."""

import json
from collections.abc import Mapping
from pathlib import Path

from msgspec import Raw
from pydantic import JsonValue

from ingest_ray.simulators.atlassian import Simulation
from ingest_strategies.jira.api.deployment import known
from ingest_strategies.jira.reading.reader import WANTED
from ingest_strategies.jira.reading.rows import Item, RowMaker
from ingest_strategies.jira.strategy import schema_of
from tests.strategies.jira.site import Lake, endpoint_of


def test_bytes_that_are_no_utf_8_cost_their_row_and_are_named(quiet: Simulation) -> None:
    lake = Lake(Path(), endpoint_of(quiet))
    lake.collect()
    dataset = lake.datasets["jira.issues"]
    with known(lake.endpoint, dataset) as api:
        page = next(iter(api.issues("updated >= 0", WANTED["jira.issues"], [])))
    bodies = [bytes(body) for body in page[:3]]
    bodies[1] = bodies[1].replace(b'{"', b'{"nobody reads this":"\xff","', 1)
    rejected: list[tuple[str, str | None]] = []

    def reject(raw: Mapping[str, JsonValue], reason: str, column: str | None) -> None:
        assert "\ufffd" in str(raw["payload"])
        rejected.append((reason, column))

    batch = RowMaker(dataset, schema_of(dataset)).batch([Item(Raw(body), {}) for body in bodies], reject)
    assert batch.column("payload").to_pylist() == [bodies[0].decode(), bodies[2].decode()]
    assert batch.column("status").to_pylist() == [
        json.loads(bodies[place])["fields"]["status"]["name"] for place in (0, 2)
    ]
    assert rejected == [("what came is not UTF-8", "payload")]
