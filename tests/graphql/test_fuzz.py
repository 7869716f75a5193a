"""Random queries generated from the schema: each gets an answer or a typed error, never `E_INTERNAL`."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import mutations, nodes, queries

from ingest_ray.graphql.schema import sdl
from ingest_ray.service import launching
from ingest_ray.service.access.roles import Role
from ingest_ray.service.endpoints.collect import collect
from tests.graphql.client import Client
from tests.searches import examples
from tests.service.workspace import Workspace

# Where one field of an object fails, graphql-core may leave resolvers of its siblings unawaited; Python then says so.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in.*_async_resolver:pytest.PytestUnraisableExceptionWarning"),
]

SCHEMA = sdl()
NAMES = st.sampled_from(
    ["shop", "lake", "numbers-1x1000", "shop:numbers-1x1000", "", "x" * 300, "é\u2028'\"<b>", "../.."]
)
SCALARS: Any = {
    "DateTime": st.sampled_from(["2026-01-31T00:00:00Z", "0001-01-01T00:00:00+14:00", "now", ""]).map(nodes.String),
    "JSON": st.one_of(
        NAMES.map(nodes.String),
        st.integers(-5, 5).map(nodes.Int),
        st.booleans().map(nodes.Boolean),
        st.just(nodes.Object([])),
    ),
}
FUZZ = settings(
    max_examples=examples(short=25, long=60), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    workspace = Workspace(tmp_path_factory.mktemp("fuzzed"))
    workspace.document["units"] = [
        workspace.document["units"][0] | {"run_mode": "INCREMENTAL", "policy": {"cursor": "at"}}
    ]
    workspace.apply()
    collect(workspace.installation, "shop")
    before = launching.MODULES["in-process"]
    launching.MODULES["in-process"] = "tests.service.threads"
    client = Client(workspace.installation, requests_per_minute=10**6)
    with client.http:
        yield client
    launching.MODULES["in-process"] = before


def check(client: Client, query: str, role: Role) -> None:
    answer = client.post(query, role=role)
    assert answer.status_code == 200, (query, answer.text)
    codes = {error["extensions"]["code"] for error in answer.json().get("errors") or ()}
    assert "E_INTERNAL" not in codes, (query, answer.text)


@FUZZ
@given(query=queries(SCHEMA, custom_scalars=SCALARS, allow_null=True))
def test_queries(site: Client, query: str) -> None:
    check(site, query, Role.VIEWER)
    check(site, query, Role.ADMIN)


@FUZZ
@given(query=mutations(SCHEMA, custom_scalars=SCALARS, allow_null=True))
def test_mutations(site: Client, query: str) -> None:
    check(site, query, Role.ADMIN)


@FUZZ
@given(unit=NAMES, endpoint=NAMES, text=st.text(max_size=30))
def test_arguments_that_mean_something(site: Client, endpoint: str, unit: str, text: str) -> None:
    variables = {"e": endpoint, "u": unit, "t": text}
    for query in (
        "query($e: ID!, $u: ID!) { ingestionStatus(endpointId: $e, unitId: $u) { state checkpoint } }",
        "query($e: ID!, $t: ID) { ingestionStatuses(endpointId: $e, after: $t) { unitId } }",
        "query($e: ID!) { ingestionUnits(endpointId: $e) { unitId } }",
        "query($e: ID!, $u: ID!, $t: String) { ingestionSegments(endpointId: $e, unitId: $u, sinkId: $t) { total } }",
        "query($t: String) { catalogDatasets(search: $t) { id } endpoints(search: $t) { id } }",
        "query($t: String) { ingestionRuns(after: $t) { edges { cursor } } }",
        "mutation($e: ID!, $u: ID!) { pauseIngestion(endpointId: $e, unitId: $u) { ok } }",
        "mutation($e: ID!, $u: ID!, $t: String) { updateIngestionWatermark(endpointId: $e, unitId: $u, watermark: $t) { ok } }",
        "mutation($t: String!) { registerEndpoint(input: {name: $t, sourceId: $t, verb: $t}) { id } }",
    ):
        answer = site.post(query, variables)
        codes = {error["extensions"]["code"] for error in answer.json().get("errors") or ()}
        assert "E_INTERNAL" not in codes, (query, variables, answer.text)
