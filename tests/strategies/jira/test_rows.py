"""Rows of issues are built from the bytes of the answer."""

import json
from collections.abc import Mapping
from pathlib import Path

from msgspec import Raw
from pydantic import JsonValue

from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.simulators.atlassian import Simulation
from ingest_strategies.jira.api.client import IssueSet
from ingest_strategies.jira.api.deployment import open_api
from ingest_strategies.jira.reading.issue_items import SELECTIONS
from ingest_strategies.jira.reading.rows import Item, RowBuilder
from tests.strategies.jira.site import Lake, endpoint_of


def test_bytes_that_are_no_utf_8_cost_their_row_and_are_named(static_site: Simulation) -> None:
    lake = Lake(Path(), endpoint_of(static_site))
    lake.collect()
    dataset = lake.datasets["jira.issues"]
    with open_api(lake.endpoint, dataset) as api:
        page = next(iter(api.read_issues(IssueSet("updated >= 0"), SELECTIONS["jira.issues"], [])))
    bodies = [bytes(body) for body in page[:3]]
    bodies[1] = bodies[1].replace(b'{"', b'{"an unknown field":"\xff","', 1)
    rejected: list[tuple[str, str | None]] = []

    def reject(raw: Mapping[str, JsonValue], reason: str, column: str | None) -> None:
        assert "\ufffd" in str(raw["payload"])
        rejected.append((reason, column))

    batch = RowBuilder(dataset, schema_of(dataset)).batch([Item(Raw(body), {}) for body in bodies], reject)
    assert batch.column("payload").to_pylist() == [bodies[0].decode(), bodies[2].decode()]
    assert batch.column("status").to_pylist() == [
        json.loads(bodies[index])["fields"]["status"]["name"] for index in (0, 2)
    ]
    assert rejected == [("the source's text is not UTF-8", "payload")]
