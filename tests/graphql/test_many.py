"""The number of SQL statements of a query does not depend on the number of objects in its answer."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from ingest_ray.testing.filled_catalog import filled
from tests.graphql.client import Client

pytestmark = pytest.mark.slow

QUERIES = {
    "datasets": "{ catalogDatasets { id sourceEndpoint { name } lastCollectionRun { endpoint { id } } ingestionConfig { lastStatus { state checkpoint } schedule { isHeld } } } }",
    "endpoints": "{ endpoints { id runs(limit: 2) { endpoint { id } } datasets(limit: 20) { id ingestionConfig { enabled lastStatus { state } } } } }",
    "configs": '{ ingestionUnitConfigs(endpointId: "e0") { unitId lastStatus { state checkpoint } schedule { nextRunAt } } }',
    "statuses": '{ ingestionStatuses(endpointId: "e0") { unitId state lastRunId stats } }',
    "runs": "{ ingestionRuns(first: 100) { edges { node { id state error { code } } } } }",
}


@contextmanager
def counted() -> Iterator[list[str]]:
    """Collects every statement of every engine."""
    seen: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("name", QUERIES)
def test_the_number_of_statements_does_not_grow_with_the_number_of_objects(client: Client, name: str) -> None:
    counts = []
    for units in (22, 40):
        filled(client.installation, 3, units, units)
        client.ask(QUERIES[name])  # the first one prepares connections
        with counted() as seen:
            data = client.ask(QUERIES[name])
        counts.append(len(seen))
        assert data
    assert counts[0] == counts[1], counts
    assert counts[1] <= 30


def test_what_is_counted_is_really_there(client: Client) -> None:
    filled(client.installation, 2, 5, 5)
    found = client.ask('{ ingestionStatuses(endpointId: "e1") { unitId state checkpoint } }')["ingestionStatuses"]
    assert len(found) == 5
    assert {one["state"] for one in found} == {"SUCCEEDED"}
    assert found[0]["checkpoint"]["segments"]["all"]["watermark"] == 1000
    page = client.ask('{ ingestionStatuses(endpointId: "e1", first: 2, after: "u00001") { unitId } }')
    assert [one["unitId"] for one in page["ingestionStatuses"]] == ["u00002", "u00003"]
