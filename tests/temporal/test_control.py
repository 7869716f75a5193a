"""Workflows over a whole endpoint, schedules, launchers, collection and preview."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from ingest_ray.catalog import run_records
from ingest_ray.core.cron_slots import slot_after
from ingest_ray.payloads.contract import CATALOG, COMPARISON, ENDPOINT
from ingest_ray.payloads.documents import (
    CatalogCommand,
    CatalogOutcome,
    ComparisonCommand,
    EndpointCommand,
    EndpointTally,
    PreviewCommand,
    ProvisionCommand,
)
from ingest_ray.sdk.errors import ClusterUnavailable, IngestError, RunActive
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import CronSchedule, RunState, UnitConfig
from ingest_ray.service.launching import launcher_for
from ingest_ray.service.runs.admission import RunRequest
from ingest_ray.temporal.activities import Activities
from ingest_ray.temporal.schedules import Wanted, schedule_of, sync_schedules
from ingest_ray.testing.servers.postgres import Postgres
from tests.temporal.conftest import PlantMaker
from tests.temporal.servers import TemporalServer, free_ports, until
from tests.temporal.test_progress import connected
from tests.temporal.worker_workspace import HELD, WorkerWorkspace

pytestmark = [pytest.mark.services, pytest.mark.cluster]


def most_at_once(workspace: WorkerWorkspace, units: list[str]) -> int:
    """The most runs that went on at the same time, by their records."""
    spans = [record for unit in units if (record := workspace.record(unit)) is not None]
    moments = [(one.started_at, 1) for one in spans] + [(one.finished_at, -1) for one in spans]
    running, most = 0, 0
    for _, change in sorted(moments, key=lambda moment: (moment[0], moment[1])):  # type: ignore[arg-type,return-value]
        running += change
        most = max(most, running)
    return most


def test_an_endpoint_runs_its_units_two_at_a_time_continues_as_new_and_names_those_that_failed(
    scripted: PlantMaker,
) -> None:
    good, broken = ["numbers-1x400", "numbers-2x300"], "numbers-1x500"
    workspace = scripted(*good, broken)
    workspace.more_rules = [{"endpoint": "shop", "unit": broken, "policy": {"cursor": "nothing"}}]
    workspace.apply()
    name = f"endpoint:{workspace.queue}"
    command = EndpointCommand(endpoint_id="shop", max_parallel=2, units_per_history=2, requested_by="ada")
    with workspace.worker():
        with pytest.raises(WorkflowFailureError) as failed:
            workspace.with_client(
                lambda client: client.execute_workflow(
                    ENDPOINT, command, id=name, task_queue=workspace.queue, result_type=EndpointTally
                )
            )
    cause = failed.value.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.type, cause.message) == ("E_BAD_INPUT", "1 of 3 units failed: numbers-1x500")
    assert workspace.ids(good[0]) == Counter(range(400))
    assert workspace.ids(good[1]) == Counter(range(600))
    assert most_at_once(workspace, good) <= 2
    record = workspace.record(good[0])
    assert record is not None
    assert record.requested_by == "ada"
    last = workspace.history(name)
    assert "continued_execution_run_id" in last.text
    print(last)
    assert last.events < 40


def test_schedules_follow_the_units_and_start_runs(scripted: PlantMaker) -> None:
    workspace = scripted("numbers-1x400", "numbers-1x500")

    def synced() -> list[str]:
        changes = workspace.with_client(lambda client: sync_schedules(client, workspace.installation))
        return [f"{one.action} {one.schedule_id.rpartition(':')[2]} {one.minutes}" for one in changes]

    assert synced() == []
    workspace.rule |= {"unit": "numbers-1x4*", "schedule_minutes": 30}
    workspace.apply()
    assert synced() == ["created numbers-1x400 30"]
    until(lambda: synced() == ["unchanged numbers-1x400 30"], what="a list with the new schedule")
    workspace.rule["schedule_minutes"] = 45
    workspace.apply()
    assert synced() == ["changed numbers-1x400 45"]
    schedule_id = f"ingest:{workspace.queue}:shop:numbers-1x400"
    described = workspace.with_client(lambda client: client.get_schedule_handle(schedule_id).describe())
    assert described.schedule.spec.intervals[0].every == timedelta(minutes=45)
    with workspace.worker():
        workspace.with_client(lambda client: client.get_schedule_handle(schedule_id).trigger())
        until(lambda: workspace.state("numbers-1x400") is RunState.SUCCEEDED, what="a scheduled run")
    record = workspace.record("numbers-1x400")
    assert record is not None
    assert record.requested_by == "schedule"
    del workspace.rule["schedule_minutes"]
    workspace.apply()
    until(lambda: synced() == ["removed numbers-1x400 None"], what="the end of the schedule")


def test_a_full_run_that_is_due_with_an_ordinary_one_waits_for_it(scripted: PlantMaker) -> None:
    workspace = scripted("numbers-1x400")
    policy = {"cursor": "at", "write": "upsert", "primary_key": ["id"]}
    full = {"task": "full", "cron": "0 2 * * 0", "zone": "Europe/Berlin"}
    workspace.rule |= {"run_mode": "INCREMENTAL", "policy": policy, "schedule_minutes": 10, "schedules": [full]}
    workspace.apply()
    changes = workspace.with_client(lambda client: sync_schedules(client, workspace.installation))
    assert [change.schedule for change in changes] == ["every 10 min", "0 2 * * 0 Europe/Berlin"]
    names = [change.schedule_id for change in changes]
    assert names[1] == f"{names[0]}:full"

    async def trigger_both(client: Client) -> None:
        await asyncio.gather(*(client.get_schedule_handle(name).trigger() for name in names))

    def ended() -> list[tuple[str, RunState]]:
        with workspace.installation.catalog.read() as connection:
            found = [record.summary for record in run_records.recent(connection, UnitRef("shop", "numbers-1x400"))]
        return sorted((run.task, run.state) for run in found)

    with workspace.worker():
        workspace.with_client(trigger_both)
        wanted = [("backfill", RunState.SUCCEEDED), ("ingest", RunState.SUCCEEDED)]
        until(lambda: ended() == wanted, what="both runs")


def test_a_comparison_by_a_schedule_of_the_server_fails_where_rows_differ(shop: PlantMaker, pg: Postgres) -> None:
    workspace, unit = shop(500), UnitRef("shop", "public.orders")
    workspace.rule["schedules"] = [{"task": "verify", "cron": "0 5 * * 0"}]
    workspace.apply()
    (change,) = workspace.with_client(lambda client: sync_schedules(client, workspace.installation))
    assert (change.schedule_id.rpartition(":")[2], change.schedule) == ("verify", "0 5 * * 0 UTC")

    def compared() -> list[tuple[RunState, str | None]]:
        with workspace.installation.catalog.read() as connection:
            found = [record.summary for record in run_records.recent(connection, unit)]
        return [(run.state, run.requested_by) for run in found if run.task == "verify"]

    command = ComparisonCommand(endpoint_id="shop", unit_id=unit.unit_id, requested_by="ada")
    with workspace.worker():
        workspace.run(unit.unit_id)
        workspace.with_client(lambda client: client.get_schedule_handle(change.schedule_id).trigger())
        until(lambda: compared() == [(RunState.SUCCEEDED, "schedule")], what="a scheduled comparison")
        pg.run("DELETE FROM orders WHERE id = 7")
        with pytest.raises(WorkflowFailureError) as failed:
            workspace.with_client(
                lambda client: client.execute_workflow(
                    COMPARISON, command, id=f"compare:{workspace.queue}", task_queue=workspace.queue
                )
            )
    cause = failed.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "E_ROWS_DIFFER"
    assert sorted(compared()) == [(RunState.FAILED, "ada"), (RunState.SUCCEEDED, "schedule")]


def test_a_calendar_of_the_server_is_due_where_the_schedulers_of_serve_is(temporal_server: TemporalServer) -> None:
    """Around the days on which clocks are moved: the server's own list of the next times is the witness."""

    async def next_times(cron: str, zone: str, begin: datetime) -> list[int]:
        client = await connected(temporal_server)
        calendar = CronSchedule(cron=cron, zone=zone)
        config = UnitConfig(endpoint_id="e", unit_id="u", sink_id="s", schedule_kind="CRON", schedule_calendar=calendar)
        schedule = schedule_of(Wanted(config, "ingest"), "nobody", begin.year)
        schedule.spec.start_at = begin
        handle = await client.create_schedule(f"calendar-{uuid4()}", schedule)
        try:
            return [int(moment.timestamp()) for moment in (await handle.describe()).info.next_action_times]
        finally:
            await handle.delete()

    for cron, zone, begin in (
        ("30 2 * * *", "Europe/Berlin", datetime(2027, 3, 26, 12, tzinfo=UTC)),
        ("*/10 2 * * *", "America/New_York", datetime(2027, 3, 13, 12, tzinfo=UTC)),
        ("0 2,3 * * 0", "Europe/Berlin", datetime(2027, 3, 26, 12, tzinfo=UTC)),
        ("0 3 * * 1-5", "Europe/Berlin", datetime(2027, 10, 29, 12, tzinfo=UTC)),
        ("0 0 13 * 5", "Asia/Kolkata", datetime(2027, 6, 1, tzinfo=UTC)),
        ("15 */6 1,15 * *", "UTC", datetime(2027, 6, 1, tzinfo=UTC)),
    ):
        found = asyncio.run(next_times(cron, zone, begin))
        expected, now = [], int(begin.timestamp()) - 1
        for _ in found:
            now = slot_after(CronSchedule(cron=cron, zone=zone), now)
            expected.append(now)
        assert found == expected, cron
    twice = asyncio.run(next_times("30 2 * * *", "Europe/Berlin", datetime(2027, 10, 30, 12, tzinfo=UTC)))
    assert [datetime.fromtimestamp(moment, UTC).day for moment in twice[:3]] == [31, 1, 2]  # once on the 31st


@pytest.mark.parametrize("name", [pytest.param("ray-job", marks=pytest.mark.faults), "temporal"])
def test_a_launcher_starts_a_run_in_the_background_that_can_be_paused(scripted: PlantMaker, name: str) -> None:
    unit = "numbers-1x2000"
    workspace = scripted(unit, inline_below=0, slice_rows=100, faults=HELD)
    workspace.launcher = name
    workspace.apply()
    launcher, request = (
        launcher_for(workspace.installation),
        RunRequest(endpoint_id="shop", unit_id=unit, requested_by="ada"),
    )
    with workspace.worker():
        run_id = launcher.start(workspace.installation, request)
        assert launcher.state(workspace.installation, run_id) is RunState.RUNNING
        with pytest.raises(RunActive):
            launcher.start(workspace.installation, request)
        workspace.until_committed(unit, 100)
        launcher.pause(workspace.installation, run_id, "grace")
        until(lambda: launcher.state(workspace.installation, run_id) is RunState.PAUSED, what="a pause")
    record = workspace.record(unit)
    assert record is not None
    assert (record.run_id, record.requested_by, record.executor) == (run_id, "ada", "ray")
    assert 0 < record.rows.committed == sum(workspace.ids(unit).values()) < 2000


@pytest.mark.parametrize("name", ["ray-job", "temporal"])
def test_a_launcher_whose_servers_are_away_says_so_and_leaves_an_ended_record(scripted: PlantMaker, name: str) -> None:
    workspace = scripted("numbers-1x400")
    installation = workspace.installation
    (port,) = free_ports(1)
    ray = installation.settings.ray.model_copy(update={"jobs_url": f"http://127.0.0.1:{port}"})
    temporal = installation.settings.temporal.model_copy(update={"address": f"127.0.0.1:{port}"})
    installation.settings = installation.settings.model_copy(
        update={"launcher": name, "ray": ray, "temporal": temporal}
    )
    with pytest.raises(ClusterUnavailable):
        launcher_for(installation).start(installation, RunRequest(endpoint_id="shop", unit_id="numbers-1x400"))
    record = workspace.record("numbers-1x400")
    assert record is not None
    assert record.error is not None
    assert (record.state, record.error.code) == (RunState.FAILED, "E_CLUSTER_UNAVAILABLE")


def test_a_cluster_that_refuses_the_token_is_a_user_mistake(scripted: PlantMaker) -> None:
    workspace = scripted("numbers-1x400")
    (workspace.folder / "token").write_text("wrong")
    installation = workspace.installation
    installation.settings = installation.settings.model_copy(update={"launcher": "ray-job"})
    with pytest.raises(IngestError, match="refuses: 40") as refused:
        launcher_for(installation).start(installation, RunRequest(endpoint_id="shop", unit_id="numbers-1x400"))
    assert refused.value.is_user_mistake


def test_a_catalog_is_collected_and_rows_are_previewed_into_a_file(scripted: PlantMaker) -> None:
    workspace = scripted("numbers-1x400")
    with workspace.worker():
        done = workspace.with_client(
            lambda client: client.execute_workflow(
                CATALOG,
                CatalogCommand(endpoint_id="shop"),
                id=f"collect:{workspace.queue}",
                task_queue=workspace.queue,
                result_type=CatalogOutcome,
            )
        )
    assert (done.found, done.added) == (1, 0)
    command = PreviewCommand(endpoint_id="shop", unit_id="numbers-1x400", rows=3)
    activities = Activities(workspace.installation.settings)

    async def preview() -> str:
        return str((await ActivityEnvironment().run(activities.preview_dataset, command)).uri)

    rows = json.loads(Path(asyncio.run(preview())).read_text())["rows"]
    assert [row["id"] for row in rows] == [0, 1, 2]


def test_the_table_of_a_model_is_provisioned_and_twice_is_once(scripted: PlantMaker) -> None:
    workspace = scripted("numbers-1x400")
    activities, environment = Activities(workspace.installation.settings), ActivityEnvironment()
    command = ProvisionCommand(sink_endpoint_id="lake", cdm_model_id="cdm.work.item")
    first = environment.run(activities.provision_cdm_sink, command)
    assert environment.run(activities.provision_cdm_sink, command) == first
    assert first.dataset_id.startswith("lake:")
