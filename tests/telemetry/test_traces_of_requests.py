"""Requests of sources, and a run that a GraphQL request starts in a process of its own."""

import time

import pytest

from ingest_ray import telemetry
from ingest_ray.http.request_spans import url_template
from ingest_ray.sdk.statement_spans import parts_of
from ingest_ray.service import launching
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.schedules import Scheduler
from ingest_ray.simulators.atlassian import simulate
from tests.graphql.client import Client
from tests.monitoring.serving import await_true
from tests.service.workspace import Workspace
from tests.telemetry.collector import Collector
from tests.telemetry.test_traces import STEPS, run_traced

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
START = 'mutation { startIngestion(endpointId: "shop", unitId: "numbers-1x1000") { ok runId } }'


@pytest.mark.processes
def test_a_request_and_the_process_of_its_run_are_one_trace(workspace: Workspace, collector: Collector) -> None:
    workspace.apply()
    collect(workspace.installation, "shop")
    client = Client(workspace.installation)
    with client.http:
        client.http.headers["traceparent"] = PARENT
        assert client.ask(START)["startIngestion"]["ok"]
        of_job = collector.await_span("job")
        telemetry.flush()
    assert collector.names() >= STEPS
    server = collector.named("POST /graphql")[0]
    assert (server.trace_id, server.parent_id) == (PARENT[3:35], PARENT[36:52])
    assert (server.kind, server.facts["http.response.status_code"]) == (2, 200)  # SPAN_KIND_SERVER
    (commit,) = collector.named("commit")
    path = ["graphql startIngestion", "job", "run", "attempt", "commit"]
    assert collector.path_of(commit)[-5:] == path
    assert commit.trace_id == server.trace_id
    assert of_job.process != server.process
    assert collector.points["http.server.request.duration"]


def test_a_scheduled_run_is_a_trace_of_its_own(
    workspace: Workspace, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(launching.MODULES, "in-process", "tests.service.threads")
    workspace.document["units"][0] |= {"unit": "numbers-1x1000", "schedule_minutes": 60}
    workspace.apply()
    collect(workspace.installation, "shop")
    telemetry.configure(workspace.installation.settings)
    scheduler, now = Scheduler(workspace.installation), time.time()
    assert [len(scheduler.tick(now + seconds)) for seconds in (0, 2 * 3600)] == [0, 1]
    await_true(lambda: telemetry.flush() or bool(collector.named("job")))
    (commit,) = collector.named("commit")
    assert collector.path_of(commit) == ["schedule", "job", "run", "attempt", "commit"]


def test_the_series_of_units_are_sent_by_the_server(workspace: Workspace, collector: Collector) -> None:
    workspace.document["units"][0]["policy"] = {"fresh_within": "1h"}
    workspace.apply()
    collect(workspace.installation, "shop")
    with Client(workspace.installation).http:
        telemetry.flush(30)
    ((facts, value),) = [
        point for point in collector.points["ingest_unit_late"] if point[0]["unit"] == "numbers-1x1000"
    ]
    assert facts == {"endpoint": "shop", "unit": "numbers-1x1000", "sink": "lake"}
    assert value == 0


@pytest.mark.slow
def test_requests_of_a_source_are_in_the_trace_of_their_slices(workspace: Workspace, collector: Collector) -> None:
    """Sent by threads of the strategy, which inherit no context."""
    with simulate(product="confluence", mode="cloud", pages=60, spaces=2, frozen=True) as site:
        config = {"base_url": site.url, "username": site.user, "api_token": site.token}
        workspace.document["endpoints"] = [{"id": "shop", "template": "http.confluence", "config": config}]
        workspace.document["units"] = [{"endpoint": "shop", "unit": "confluence.page", "sink": "lake", "enabled": True}]
        run_traced(workspace, "confluence.page")
    requests = [span for span in collector.spans if "http.request.method" in span.facts]
    assert {span.trace_id for span in requests} == {collector.named("run")[0].trace_id}
    assert {collector.path_of(span)[1] for span in requests} == {"run"}
    read = [span for span in requests if "read slice" in collector.path_of(span)]
    assert {span.facts["http.response.status_code"] for span in read} == {200}
    assert all(span.facts["server.address"] == "127.0.0.1" and "?" not in span.facts["url.full"] for span in requests)
    assert site.token.encode() not in collector.everything()
    assert collector.points["http.client.request.duration"]


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/rest/api/3/search/jql", "/rest/api/3/search/jql"),
        ("/rest/api/3/issue/ACME-12/comment", "/rest/api/3/issue/{id}/comment"),
        ("/wiki/api/v2/pages/123456/children", "/wiki/api/v2/pages/{id}/children"),
        ("/rest/api/space/~ada.lovelace", "/rest/api/space/{id}"),
        ("/download/attachments/77/salaries 2026.xlsx", "/download/attachments/{id}/{id}"),
        ("/", "/"),
    ],
)
def test_a_path_has_no_ids_of_records(path: str, template: str) -> None:
    assert url_template(path) == template


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        ("/* ingest_ray */ SELECT a FROM public.orders WHERE id > 5", ("SELECT", "public.orders")),
        ('select "a" from "public"."my orders" where b = \'x\'', ("SELECT", "public.my orders")),
        ("SELECT 'from secrets' FROM t", ("SELECT", None)),
        ("SELECT a FROM (SELECT b FROM c) x", ("SELECT", "c")),
        ("insert into `orders` values (1)", ("INSERT", "orders")),
        ("SELECT $$ from ada$$", ("SELECT", None)),
        ("create table if not exists t (a int)", ("CREATE", None)),
        ("", ("OTHER", None)),
    ],
)
def test_a_statement_is_named_by_its_operation_and_table(sql: str, parts: tuple[str, str | None]) -> None:
    assert parts_of(sql) == parts
