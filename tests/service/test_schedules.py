"""Scheduled units start when they are due, once for any number of servers; the pure decisions have their tests beside the core."""

import sqlite3
from datetime import UTC, datetime
from typing import Any

import pytest
from deltalake import DeltaTable

from ingest_ray.catalog import run_records as records
from ingest_ray.catalog import schedule_slots
from ingest_ray.sdk.errors import ClusterUnavailable, ConfigError, IngestError, ModeUnsupported, StateUnavailable
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.service import launching
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.lifecycle import WithinStart, execute_run, fail_run, find_lost_runs, open_run
from ingest_ray.service.launching.lost_runs import restart_lost_runs
from ingest_ray.service.runs import execution, record_keeping
from ingest_ray.service.runs.admission import RunRequest, options_of
from ingest_ray.service.runs.control import pause, start
from ingest_ray.service.runs.run_liveness import owner_of
from ingest_ray.service.runs.schedule_views import ScheduleView, list_next_runs, schedule_view
from ingest_ray.service.runs.schedules import Scheduler, start_due_runs
from ingest_ray.service.runs.verification import end_comparisons
from ingest_ray.service.units.configure import UnitChange, configure, find_config
from ingest_ray.service.units.status import read_status
from tests.service.workspace import Workspace

UNIT = "numbers-1x1000"
NOW = 1_700_000_000


class Noted:
    """A launcher that only writes the record; the test executes the run."""

    def __init__(self) -> None:
        self.started: list[str] = []

        self.error: IngestError | None = None

    def start(self, installation: Installation, request: RunRequest, within: WithinStart = lambda _: None) -> str:
        run_id = open_run(installation, request, within=within)
        if self.error is not None:
            fail_run(installation, run_id)
            raise self.error
        self.started.append(run_id)
        return run_id

    def restart(self, installation: Installation, run_id: str) -> None:
        self.started.append(run_id)


launcher = Noted()


@pytest.fixture
def ready(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    workspace.document["units"][0] |= {"run_mode": "INCREMENTAL", "policy": {"cursor": "at"}}
    workspace.document["serve"] = {"schedules": {"max_jitter_s": 0, "max_runs": 2}}
    workspace.apply()
    collect(workspace.installation, "shop")
    configure(
        workspace.installation,
        UnitRef("shop", UNIT),
        UnitChange(schedule_kind="INTERVAL", schedule_interval_minutes=60),
    )
    launcher.started.clear()
    launcher.error = None
    monkeypatch.setitem(launching.MODULES, "in-process", __name__)
    return workspace


def history(workspace: Workspace) -> list[RunSummary]:
    with workspace.installation.catalog.read() as connection:
        return [record.summary for record in records.recent(connection, UnitRef("shop", UNIT))]


def test_a_unit_runs_once_in_every_slot_and_never_beside_itself(ready: Workspace) -> None:
    assert start_due_runs(ready.installation, NOW) == []
    (first,) = start_due_runs(ready.installation, NOW + 3600)
    assert start_due_runs(ready.installation, NOW + 3605) == []
    assert start_due_runs(ready.installation, NOW + 7200) == []  # the first one goes on
    execute_run(ready.installation, first)
    (second,) = start_due_runs(ready.installation, NOW + 7300)  # its slot waited
    execute_run(ready.installation, second)
    assert start_due_runs(ready.installation, NOW + 7400) == []
    assert [(run.state, run.requested_by) for run in history(ready)] == [(RunState.SUCCEEDED, "schedule")] * 2


def test_of_two_servers_one_starts_the_run(ready: Workspace) -> None:
    start_due_runs(ready.installation, NOW)
    one, other = ready.installation, ready.installation
    assert len(start_due_runs(one, NOW + 3600) + start_due_runs(other, NOW + 3600)) == 1
    assert len(history(ready)) == 1


def test_pausing_holds_the_schedule_and_starting_releases_it(ready: Workspace) -> None:
    start_due_runs(ready.installation, NOW)
    assert pause(ready.installation, UnitRef("shop", UNIT), requested_by="ada").ok
    assert start_due_runs(ready.installation, NOW + 3600) == []
    view = _schedule(ready)
    assert (view.is_held, view.held_by, view.next_due_at) == (True, "ada", None)
    run_id = start(ready.installation, UnitRef("shop", UNIT)).run_id
    assert run_id is not None
    execute_run(ready.installation, run_id)
    assert start_due_runs(ready.installation, NOW + 3700) == []  # the slot that was held is not made up
    assert len(start_due_runs(ready.installation, NOW + 7200)) == 1


def _schedule(workspace: Workspace) -> ScheduleView:
    unit = UnitRef("shop", UNIT)
    stored = find_config(workspace.installation, unit)
    assert stored is not None
    with workspace.installation.catalog.read() as connection:
        row = schedule_slots.find(connection, unit)
    return schedule_view(workspace.installation, stored.config, row, NOW + 3600)


def test_what_the_gate_refuses_is_remembered_and_tried_again_at_the_next_slot(ready: Workspace) -> None:
    start_due_runs(ready.installation, NOW)
    ready.document["sinks"] = [{"id": "other", "template": "lake.delta", "config": {"uri": "./other"}}]
    ready.document["units"] = []
    ready.apply()
    assert start_due_runs(ready.installation, NOW + 3600) == []
    error = _schedule(ready).last_error
    assert error is not None
    assert "E_INGESTION_SINK_MISSING" in error
    assert history(ready) == []
    assert start_due_runs(ready.installation, NOW + 3700) == []


def test_no_more_runs_than_allowed_are_started_and_the_others_wait(ready: Workspace) -> None:
    ready.source["units"] = [UNIT, "numbers-1x10", "numbers-1x20"]
    ready.apply()
    collect(ready.installation, "shop")
    for n in (10, 20):
        change = UnitChange(schedule_kind="INTERVAL", schedule_interval_minutes=60)
        configure(ready.installation, UnitRef("shop", f"numbers-1x{n}"), change)
    start_due_runs(ready.installation, NOW)
    first = start_due_runs(ready.installation, NOW + 3600)
    assert len(first) == 2
    assert start_due_runs(ready.installation, NOW + 3605) == []
    for run_id in first:
        execute_run(ready.installation, run_id)
    assert len(start_due_runs(ready.installation, NOW + 3610)) == 1


def _schedule_units(ready: Workspace, *minutes: int) -> list[UnitRef]:
    """Units whose names sort in the order of the arguments."""
    names = [f"numbers-1x{n + 10}" for n in range(len(minutes))]
    ready.source["units"] = names
    ready.document["units"][0]["unit"] = "*"
    ready.apply()
    collect(ready.installation, "shop")
    units = [UnitRef("shop", name) for name in names]
    for unit, interval in zip(units, minutes, strict=True):
        change = UnitChange(schedule_kind="INTERVAL", schedule_interval_minutes=interval)
        configure(ready.installation, unit, change)
    return units


def _started_units(ready: Workspace, run_ids: list[str]) -> list[str]:
    with ready.installation.catalog.read() as connection:
        found = [records.find(connection, run_id) for run_id in run_ids]
    return [record.summary.unit_id for record in found if record is not None]


def test_over_capacity_the_unit_that_waits_longest_is_first_and_none_starves(ready: Workspace) -> None:
    """Six units a minute where two runs fit: by name the last four never ran."""
    ready.document["serve"]["schedules"]["max_runs"] = 2
    units = _schedule_units(ready, 1, 1, 1, 1, 1, 1)
    start_due_runs(ready.installation, NOW)
    ran: list[str] = []
    for minute in range(1, 4):
        for run_id in (begun := start_due_runs(ready.installation, NOW + 60 * minute)):
            execute_run(ready.installation, run_id)
        assert len(begun) == 2
        ran += _started_units(ready, begun)
    assert sorted(ran) == sorted(unit.unit_id for unit in units)


def test_the_limit_of_runs_holds_for_all_servers_together(ready: Workspace) -> None:
    ready.document["serve"]["schedules"]["max_runs"] = 2
    _schedule_units(ready, 60, 60, 60, 60)
    servers = [Scheduler(ready.installation), Scheduler(ready.installation)]
    servers[0].tick(NOW)
    seen = [server._find_due_slots(NOW + 3600) for server in servers]  # both look before either starts
    assert [len(slots) for slots in seen] == [5, 5]
    assert [len(server.tick(NOW + 3600)) for server in servers] == [2, 0]
    with ready.installation.catalog.read() as connection:
        assert len(records.running(connection)) == 2


def test_a_server_that_dies_within_the_start_leaves_the_slot_due_or_a_run_that_another_server_starts(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Died

    start_due_runs(ready.installation, NOW)
    with monkeypatch.context() as patched:
        patched.setattr(records, "start", die)  # after the claim, in its transaction
        with pytest.raises(Died):
            start_due_runs(ready.installation, NOW + 3600)
    assert history(ready) == []
    with monkeypatch.context() as patched:
        patched.setattr(Noted, "start", lambda self, *arguments: (open_run(*arguments[:2], within=arguments[2]), die()))
        with pytest.raises(Died):
            start_due_runs(ready.installation, NOW + 3600)
    assert restart_lost_runs(ready.installation) == []  # its server may live
    _expire_vouches(ready)
    first, second = restart_lost_runs(ready.installation), restart_lost_runs(ready.installation)
    assert (len(first), second) == (1, [])
    execute_run(ready.installation, first[0])
    assert [(run.state, run.requested_by) for run in history(ready)] == [(RunState.SUCCEEDED, "schedule")]
    assert start_due_runs(ready.installation, NOW + 3660) == []


def _expire_vouches(workspace: Workspace) -> None:
    with workspace.installation.catalog.begin() as connection:
        for record in records.running(connection):
            owner = owner_of(record).model_copy(update={"vouched_until": 1.0})
            assert records.replace_owner(connection, record.summary.run_id, record.owner, owner.model_dump_json())


@pytest.mark.parametrize("where", ["the store of leases", "the launcher"])
def test_a_passing_fault_leaves_the_slot_due_and_says_why(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """16 slots were used up in six seconds without Redis."""
    server = Scheduler(ready.installation)
    server.tick(NOW)
    with monkeypatch.context() as patched:
        if where == "the launcher":
            launcher.error = ClusterUnavailable("no head")
        else:
            patched.setattr(record_keeping, "read_states", _away)
        assert server.tick(NOW + 3600) == []
        launcher.error = None
    error = _schedule(ready).last_error
    assert error is not None
    assert "no head" in error or "redis is away" in error
    assert server.tick(NOW + 3601) == []  # it pauses
    assert len(server.tick(NOW + 3700)) == 1
    assert _schedule(ready).last_error is None


def _away(*_: Any) -> None:
    raise StateUnavailable("redis is away")


def test_a_unit_whose_slot_waits_is_overdue(ready: Workspace) -> None:
    assert _schedule(ready).overdue_since is None
    start_due_runs(ready.installation, NOW - 7200)
    slot = NOW + 3600 - (NOW + 3600) % 3600 - 3600 * 2
    assert _schedule(ready).overdue_since is not None
    assert _schedule(ready).overdue_since <= slot + 3600
    for run_id in start_due_runs(ready.installation, NOW + 3600):
        execute_run(ready.installation, run_id)
    assert _schedule(ready).overdue_since is None


def _add_rule(ready: Workspace, **fields: Any) -> UnitRef:
    """Another unit, whose rule has these fields; nothing else is scheduled."""
    ready.source["units"] = [UNIT, "numbers-1x10"]
    ready.apply()
    collect(ready.installation, "shop")
    rule = {"endpoint": "shop", "unit": "numbers-1x10", "sink": "lake", "enabled": True, "run_mode": "INCREMENTAL"}
    policy = {"cursor": "at", "write": "upsert", "primary_key": ["id"]}
    ready.document["units"].append({**rule, "policy": policy, **fields})
    ready.apply()
    configure(ready.installation, UnitRef("shop", UNIT), UnitChange(schedule_kind="MANUAL"))
    return UnitRef("shop", "numbers-1x10")


def _at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.slow
def test_a_unit_with_a_calendar_runs_once_on_each_of_its_days_and_once_where_clocks_are_moved(ready: Workspace) -> None:
    """By the clock of Berlin at half past two: on 2027-03-28 there is no such time, and on 2027-10-31 it comes twice."""
    unit = _add_rule(ready, schedule={"cron": "30 2 * * *", "zone": "Europe/Berlin"})
    for begin, expected in (
        ("2027-03-27T12:00", ["28 01:00", "29 00:30"]),
        ("2027-10-30T12:00", ["31 00:30", "01 01:30"]),
    ):
        first, started = _at(begin), []
        for run_id in start_due_runs(ready.installation, first):  # one run for all slots between the two days
            execute_run(ready.installation, run_id)
        for moment in range(first, first + 40 * 3600, 900):
            for run_id in start_due_runs(ready.installation, moment):
                execute_run(ready.installation, run_id)
                started.append(datetime.fromtimestamp(moment, UTC).strftime("%d %H:%M"))
        assert started == expected
    stored = find_config(ready.installation, unit)
    assert stored is not None
    view = schedule_view(ready.installation, stored.config, None, _at("2027-03-27T12:00"))
    assert view.next_due_at == _at("2027-03-28T01:00")


@pytest.mark.slow
def test_a_unit_is_reconciled_and_compared_at_times_of_their_own(ready: Workspace) -> None:
    tasks = [
        {"task": "reconcile", "cron": "0 4 * * *"},
        {"task": "verify", "cron": "0 4 * * 0", "zone": "UTC"},  # 2027-01-03 is a Sunday
    ]
    unit = _add_rule(ready, schedule={"cron": "0 * * * *"}, schedules=tasks)
    server = Scheduler(ready.installation)
    server.tick(_at("2027-01-02T23:30"))
    begun = []
    for hour in range(6):
        moment = _at(f"2027-01-03T{hour:02}:00")
        for minute in range(0, 10, 2):
            for run_id in server.tick(moment + 60 * minute):
                if run_id in launcher.started:
                    launched = execute_run(ready.installation, run_id)
                    assert launched is not None
                begun.append(run_id)
    end_comparisons(60)
    with ready.installation.catalog.read() as connection:
        found = [record.summary for record in records.recent(connection, unit)]
        slots = schedule_slots.listed_tasks(connection)
    assert sorted(run.task for run in found) == ["ingest"] * 7 + ["reconcile", "verify"]
    assert {run.requested_by for run in found if run.task != "reconcile"} == {"schedule"}
    assert {run.state for run in found if run.task != "verify"} == {RunState.SUCCEEDED}
    (compared,) = [run.error for run in found if run.task == "verify"]  # which this source cannot: it has no look-up
    assert compared is not None
    assert compared.code == "E_INGESTION_MODE_UNSUPPORTED"
    assert {slots[unit, task].last_due for task in ("reconcile", "verify")} == {_at("2027-01-03T04:00")}
    assert [(run.task, run.schedule) for run in list_next_runs(ready.installation)] == [
        ("ingest", "0 * * * * UTC"),
        ("reconcile", "0 4 * * * UTC"),
        ("verify", "0 4 * * 0 UTC"),
    ]
    pause(ready.installation, unit, requested_by="ada")
    assert server.tick(_at("2027-01-10T04:00")) == []  # holding a unit holds all of its schedules


def test_upkeep_maintains_the_table_after_its_run_under_a_record_of_its_own(ready: Workspace) -> None:
    unit = _add_rule(ready, schedules=[{"task": "upkeep", "cron": "0 4 * * *"}])
    server = Scheduler(ready.installation)
    server.tick(_at("2027-01-03T00:00"))
    for day in (3, 4, 5):
        ready.source["changed"] = {str(number): day for number in range(3)}  # each run adds a small file
        ready.source["now"] = day
        ready.apply()
        (run_id,) = server.tick(_at(f"2027-01-0{day}T04:00"))
        report = execute_run(ready.installation, run_id)
        assert report is not None
        (ended,), (upkept,) = report.units, report.upkept
        assert (ended.task, ended.state, ended.error) == ("ingest", RunState.SUCCEEDED, None)
        assert (upkept.task, upkept.state, upkept.run_id) == ("upkeep", RunState.SUCCEEDED, f"{run_id}-upkeep")
    with ready.installation.catalog.read() as connection:
        stored = [record.summary for record in records.recent(connection, unit)]
    assert [summary.task for summary in stored].count("upkeep") == 3
    assert all(summary.state is RunState.SUCCEEDED for summary in stored)


def test_upkeep_that_fails_says_so_and_the_run_before_it_counts(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = _add_rule(ready, schedules=[{"task": "upkeep", "cron": "0 4 * * *"}])
    server = Scheduler(ready.installation)
    server.tick(_at("2027-01-03T00:00"))

    def refuse(order: Any) -> Any:
        raise ModeUnsupported("sink 'lake' (sql) has no files to maintain")

    monkeypatch.setattr(execution, "keep_up", refuse)
    (run_id,) = server.tick(_at("2027-01-03T04:00"))
    report = execute_run(ready.installation, run_id)
    assert report is not None
    assert (report.state, report.units[0].state) == (RunState.FAILED, RunState.SUCCEEDED)
    error = report.upkept[0].error
    assert error is not None
    assert error.code == "E_INGESTION_MODE_UNSUPPORTED"
    (status,) = read_status(ready.installation, "shop", unit.unit_id).units
    assert status.last_run is not None
    assert status.last_run.state is RunState.SUCCEEDED


def test_upkeep_lets_a_run_go_first_that_was_quicker(ready: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = _add_rule(ready, schedules=[{"task": "upkeep", "cron": "0 4 * * *"}])
    server, started = Scheduler(ready.installation), execution.start_records
    server.tick(_at("2027-01-03T00:00"))
    (run_id,) = server.tick(_at("2027-01-03T04:00"))

    def quicker(installation: Installation, *given: Any) -> None:
        open_run(installation, RunRequest(endpoint_id=unit.endpoint_id, unit_id=unit.unit_id))
        started(installation, *given)

    monkeypatch.setattr(execution, "start_records", quicker)
    report = execute_run(ready.installation, run_id)
    assert report is not None
    assert (report.state, report.upkept) == (RunState.SUCCEEDED, ())


def test_upkeep_of_a_database_is_refused(ready: Workspace) -> None:
    unit = _add_rule(ready, schedules=[{"task": "upkeep", "cron": "0 4 * * *"}])
    ready.document["sinks"].append({"id": "base", "template": "sql", "config": {"url": "sqlite:///base.db"}})
    ready.document["units"][-1]["sink"] = "base"
    ready.apply()
    with pytest.raises(ModeUnsupported, match="have no files to maintain"):
        execution.plan(ready.installation, unit)


def test_a_full_run_beside_incremental_ones_has_its_turn_and_never_overlaps_them(ready: Workspace) -> None:
    """The incremental runs take longer than the time between two of them, so that one is always due."""
    unit = _add_rule(ready, schedule_minutes=10, schedules=[{"task": "full", "cron": "0 2 * * 0"}])
    server, begin = Scheduler(ready.installation), _at("2027-01-03T00:00")  # a Sunday
    server.tick(begin)
    ready.calls()
    tasks: list[str] = []
    live: str | None = None
    for minute in range(0, 300, 12):  # each look finds an interval due; a run lasts until the look after the next
        begun = server.tick(begin + 60 * minute)
        assert not (live and begun)
        if live is not None:
            report = execute_run(ready.installation, live)
            assert report is not None
            (ended,) = report.units
            assert ended.state is RunState.SUCCEEDED
            tasks.append(ended.task)
            assert any("read backfill" in call for call in ready.calls()) is (ended.task == "backfill")
        (live,) = begun or (None,)
    assert tasks.count("backfill") == 1
    assert tasks.count("ingest") >= 8
    assert tasks.index("backfill") <= 7  # the first that began at or after two o'clock
    assert [(run.task, run.schedule) for run in list_next_runs(ready.installation)] == [
        ("ingest", "every 10 min"),
        ("full", "0 2 * * 0 UTC"),
    ]
    stored = find_config(ready.installation, unit)
    assert stored is not None
    assert stored.config.schedule_text == "every 10 min, full 0 2 * * 0 UTC"


def test_tasks_of_one_unit_that_are_due_together_start_one_after_the_other(ready: Workspace) -> None:
    tasks = [{"task": "full", "cron": "0 2 * * *"}, {"task": "reconcile", "cron": "0 2 * * *"}]
    unit = _add_rule(ready, schedule={"cron": "0 2 * * *"}, schedules=tasks)
    server, found = Scheduler(ready.installation), []
    server.tick(_at("2027-01-02T23:30"))
    for second in range(0, 30, 5):
        for run_id in (begun := server.tick(_at("2027-01-03T02:00") + second)):
            execute_run(ready.installation, run_id)
        assert len(begun) <= 1
        found += begun
    with ready.installation.catalog.read() as connection:
        slots = schedule_slots.listed_tasks(connection)
    assert len(found) == 3
    assert [slots[unit, task].last_error for task in ("full", "reconcile")] == [None, None]


def test_a_full_run_finds_what_a_cursor_cannot_and_moves_no_watermark(workspace: Workspace) -> None:
    database = workspace.folder / "shop.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, at INTEGER, text TEXT)")
        connection.executemany(
            "INSERT INTO orders VALUES (?, ?, 'old')", [(n, n if n % 7 else None) for n in range(1, 501)]
        )
    workspace.document["endpoints"][0] = {"id": "shop", "template": "jdbc.sqlite", "config": {"path": str(database)}}
    policy = {"cursor": "at", "write": "upsert", "primary_key": ["id"], "cursor_nulls": "include", "lookback": 0}
    workspace.document["units"][0] |= {"run_mode": "INCREMENTAL", "policy": policy}
    workspace.apply()
    collect(workspace.installation, "shop")
    (name,) = [unit.unit_id for unit in read_status(workspace.installation).units]
    unit = UnitRef("shop", name)
    execution.run(workspace.installation, "shop", [name])
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE orders SET text = 'changed beside the cursor' WHERE id IN (1, 7, 250)")
        connection.execute("INSERT INTO orders VALUES (900, 2, 'late')")
    stored = find_config(workspace.installation, unit)
    assert stored is not None
    before = [one.watermark for one in read_status(workspace.installation).units[0].segments]
    options = options_of("full", stored.config)
    found = execution.run(workspace.installation, "shop", [name], options=options)
    assert (found.units[0].task, found.rows.read) == ("backfill", 501 - 71)
    execution.run(workspace.installation, "shop", [name])  # reads those without a cursor
    assert [one.watermark for one in read_status(workspace.installation).units[0].segments] == before
    rows = DeltaTable(workspace.folder / "lake" / "shop" / name).to_pyarrow_table().to_pylist()
    assert sorted(row["id"] for row in rows) == [*range(1, 501), 900]
    assert {row["id"] for row in rows if row["text"] != "old"} == {1, 7, 250, 900}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"policy": {"cursor": "at", "write": "append"}}, "would double its rows"),
        ({"run_mode": "FULL", "policy": {"write": "replace"}}, None),
    ],
)
def test_a_full_run_of_a_unit_that_appends_is_refused_and_one_that_is_full_anyway_runs(
    ready: Workspace, fields: dict[str, Any], message: str | None
) -> None:
    unit = _add_rule(ready, schedules=[{"task": "full", "cron": "0 4 * * *"}], **fields)
    start_due_runs(ready.installation, _at("2027-01-02T23:30"))
    begun = start_due_runs(ready.installation, _at("2027-01-03T04:00"))
    with ready.installation.catalog.read() as connection:
        row = schedule_slots.listed_tasks(connection)[unit, "full"]
    if message is not None:
        assert begun == []
        assert message in (row.last_error or "")
        return
    (run_id,) = begun
    report = execute_run(ready.installation, run_id)
    assert report is not None
    (ended,) = report.units
    assert (ended.state, ended.task, ended.rows.committed) == (RunState.SUCCEEDED, "ingest", 10)


def test_a_task_that_the_unit_cannot_do_says_so_with_its_schedule(ready: Workspace) -> None:
    policy = {"cursor": "at", "write": "append"}
    unit = _add_rule(ready, policy=policy, schedules=[{"task": "reconcile", "cron": "0 4 * * *"}])
    start_due_runs(ready.installation, _at("2027-01-02T23:30"))
    assert start_due_runs(ready.installation, _at("2027-01-03T04:00")) == []
    with ready.installation.catalog.read() as connection:
        row = schedule_slots.listed_tasks(connection)[unit, "reconcile"]
    assert "write: append" in (row.last_error or "")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schedule": {"cron": "0 3 * *"}}, r"units\[\d\].schedule.cron: '0 3 \* \*' has 4 fields"),
        ({"schedule": {"cron": "0 3 * * *", "zone": "Berlin"}}, r"schedule.zone: no time zone is named 'Berlin'"),
        ({"schedule": {"cron": "0 3 * * *"}, "schedule_minutes": 5}, "schedule and schedule_minutes"),
        ({"schedules": [{"task": "reset", "cron": "0 3 * * *"}]}, r"schedules\[0\].task: should be"),
        ({"schedules": [{"task": "verify", "cron": "0 3 * * *"}] * 2}, "task verify has 2 schedules"),
        ({"schedule": {"corn": "0 3 * * *"}}, "did you mean 'cron'"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_by_its_field(
    ready: Workspace, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        _add_rule(ready, **fields)


def test_a_later_rule_replaces_the_schedule_of_an_earlier_one(ready: Workspace) -> None:
    unit = _add_rule(ready, schedule_minutes=30)
    rule = {"endpoint": "shop", "unit": unit.unit_id}
    for later, kind in (({"schedule": {"cron": "0 3 * * *"}}, "CRON"), ({"schedule_minutes": 5}, "INTERVAL")):
        ready.document["units"].append({**rule, **later})
        ready.apply()
        stored = find_config(ready.installation, unit)
        assert stored is not None
        assert stored.config.schedule_kind == kind


def test_a_record_whose_process_never_was_does_not_run_for_ever(ready: Workspace) -> None:
    """A child that died while the catalog was away left its record RUNNING, and the pid of the living server vouched for it."""
    run_id = open_run(ready.installation, RunRequest(endpoint_id="shop", unit_id=UNIT))
    assert find_lost_runs(ready.installation) == []
    _expire_vouches(ready)
    assert [record.summary.run_id for record in find_lost_runs(ready.installation)] == [run_id]
    result = pause(ready.installation, UnitRef("shop", UNIT))
    assert result.ok
    assert "was gone" in (result.message or "")
    assert [run.state for run in history(ready)] == [RunState.FAILED]
