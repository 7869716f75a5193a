"""Questions that an analyst asks about Jira, answered in SQL over the common data model, against the simulator's truth."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest_ray.cdm import MODELS
from ingest_ray.config import load_config
from ingest_ray.sdk.types import RunState
from ingest_ray.service.endpoints.apply import apply
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.endpoints.provision import provision
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.admission import RunOptions
from ingest_ray.service.runs.execution import run
from ingest_ray.simulators.atlassian import Simulation, simulate
from tests.strategies.jira.site import endpoint_of

pytestmark = pytest.mark.slow
TRACKER = "jira"
DONE = "done"
UNITS = (
    "projects", "users", "issues", "worklogs", "changelogs", "issue_links", "sprints", "sprint_issues", "acl", "groups", "group_members",
)  # fmt: skip
OPEN_NOW = """
select project_cdm_id, assignee_cdm_id, count(*) from cdm_work_item
where _deleted_at is null and status_category <> 'done' group by 1, 2
"""
# A value at a past instant is what the last change before it left, else what the first change after it found, else the present one.
OPEN_AT = """
with of_status as (select distinct status, status_category from cdm_work_item where _deleted_at is null),
changes as (select * from cdm_work_transition where _deleted_at is null),
past as (
    select i.cdm_id, i.project_cdm_id,
        coalesce(
            (select t.to_text from changes t where t.item_cdm_id = i.cdm_id and t.field = 'status' and t.at <= :at order by t.at desc, t.cdm_id desc limit 1),
            (select t.from_text from changes t where t.item_cdm_id = i.cdm_id and t.field = 'status' and t.at > :at order by t.at, t.cdm_id limit 1),
            i.status) as status,
        case
            when exists (select 1 from changes t where t.item_cdm_id = i.cdm_id and t.field = 'assignee' and t.at <= :at)
            then (select 'cdm:work:user:jira:' || t.to_value from changes t where t.item_cdm_id = i.cdm_id and t.field = 'assignee' and t.at <= :at order by t.at desc, t.cdm_id desc limit 1)
            when exists (select 1 from changes t where t.item_cdm_id = i.cdm_id and t.field = 'assignee')
            then (select 'cdm:work:user:jira:' || t.from_value from changes t where t.item_cdm_id = i.cdm_id and t.field = 'assignee' order by t.at, t.cdm_id limit 1)
            else i.assignee_cdm_id end as assignee_cdm_id
    from cdm_work_item i where i._deleted_at is null and i.created_at <= :at
)
select p.project_cdm_id, p.assignee_cdm_id, count(*) from past p join of_status s on s.status = p.status
where s.status_category <> 'done' group by 1, 2
"""
CYCLE_TIMES = """
select item_cdm_id,
    min(case when to_text in ('In Progress', 'In Review') then at end), max(case when to_text in ('Done', 'Won''t Do') then at end)
from cdm_work_transition where field = 'status' and _deleted_at is null group by 1
"""
HOURS = """
select author_cdm_id, strftime('%Y-%W', started_at), sum(time_spent_seconds) from cdm_work_worklog
where _deleted_at is null group by 1, 2
"""
SPRINT_REPORT = """
select s.name, s.state, count(*), sum(i.status_category = 'done')
from cdm_work_sprint s
join cdm_work_link l on l.to_item_cdm_id = s.cdm_id and l.link_type = 'sprint' and l._deleted_at is null
join cdm_work_item i on i.cdm_id = l.from_item_cdm_id and i._deleted_at is null
where s._deleted_at is null group by s.cdm_id
"""
READERS = """
select a.item_cdm_id, coalesce(m.user_cdm_id, json_extract(a.properties, '$.principal_cdm_id'))
from cdm_work_access a
left join cdm_identity_member m on a.principal_type = 'group'
    and m.group_cdm_id = json_extract(a.properties, '$.principal_cdm_id') and m._deleted_at is null
where a._deleted_at is null
"""


class Warehouse:
    def __init__(self, folder: Path, sim: Simulation) -> None:
        self.folder = folder
        endpoint = endpoint_of(sim)
        document = {
            "endpoints": [{"id": TRACKER, "template": endpoint.template, "config": endpoint.config}],
            "sinks": [{"id": "models", "template": "cdm.jdbc", "config": {"url": "sqlite:///models.db"}}],
            "units": [
                {"endpoint": TRACKER, "unit": f"jira.{name}", "enabled": True, "mode": "cdm", "sink_endpoint": "models"}
                for name in UNITS
            ],
        }
        (folder / "ingest.yaml").write_text(yaml.safe_dump(document))
        config = load_config(folder / "ingest.yaml")
        apply(config)
        self.installation = Installation(config.settings)
        collect(self.installation, TRACKER)
        for model_id in MODELS:
            if model_id.startswith(("cdm.work.", "cdm.identity.")):
                provision(self.installation, "models", model_id)

    def run(self, *units: str, **options: Any) -> None:
        report = run(self.installation, TRACKER, units, **options)
        assert report.state is RunState.SUCCEEDED, [(unit.unit_id, unit.error) for unit in report.units if unit.error]

    def select(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.folder / "models.db")
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()


@pytest.fixture(scope="module", params=["cloud", "dc"])
def site(request: pytest.FixtureRequest) -> Iterator[Simulation]:
    with simulate("jira", request.param, issues=150, projects=3, frozen=True) as sim:
        yield sim


@pytest.fixture(scope="module")
def warehouse(site: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    made = Warehouse(tmp_path_factory.mktemp("analyst"), site)
    made.run()
    return made


def user(account: str | None) -> str | None:
    return f"cdm:work:user:{TRACKER}:{account}" if account else None


def person(document: Any) -> str | None:
    return document and (document.get("accountId") or document["key"])


def item(key: str) -> str:
    return f"cdm:work:item:{TRACKER}:{key}"


def stored(sim: Simulation, when: datetime, warehouse: Warehouse) -> str:
    """An instant as the database spells it."""
    ((sample,),) = warehouse.select("select max(created_at) from cdm_work_item")
    text = when.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if str(sample).endswith("Z") else "%Y-%m-%d %H:%M:%S.%f")
    return text if "T" in str(sample) or "T" not in text else text.replace("T", " ")


def counted(rows: list[tuple[Any, ...]]) -> dict[tuple[Any, ...], int]:
    return {tuple(row[:-1]): row[-1] for row in rows}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def test_open_items_per_project_and_assignee_now(site: Simulation, warehouse: Warehouse) -> None:
    truth = Counter(
        (f"cdm:work:project:{TRACKER}:{record['project']}", user(person(record["issue"]["fields"]["assignee"])))
        for record in site.expected("issues")
        if record["issue"]["fields"]["status"]["statusCategory"]["key"] != DONE
    )
    assert counted(warehouse.select(OPEN_NOW)) == truth


@pytest.mark.parametrize("days", [1, 30, 200, 700])
def test_open_items_per_project_and_assignee_at_a_past_day(site: Simulation, warehouse: Warehouse, days: int) -> None:
    when = datetime.fromtimestamp(site.now_ms() // 1000, UTC) - timedelta(days=days)
    states = site.expected("states", at_ms=int(when.timestamp() * 1000))
    truth = Counter(
        (f"cdm:work:project:{TRACKER}:{state['key'].split('-')[0]}", user(state["assignee"]))
        for state in states
        if state["exists"] and state["category"] != DONE
    )
    assert truth
    assert counted(warehouse.select(OPEN_AT, at=stored(site, when, warehouse))) == truth


def test_cycle_time_from_the_first_work_to_the_last_end(site: Simulation, warehouse: Warehouse) -> None:
    truth: dict[str, tuple[datetime | None, datetime | None]] = {}
    for record in site.expected("issues"):
        changes = [
            (instant(history["created"]), change["toString"])
            for history in record["issue"]["changelog"]
            for change in history["items"]
            if change["field"] == "status"
        ]
        begun = [at for at, to in changes if to in ("In Progress", "In Review")]
        ended = [at for at, to in changes if to in ("Done", "Won't Do")]
        if changes:
            truth[item(record["key"])] = min(begun, default=None), max(ended, default=None)
    found = {
        number: tuple(datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None for text in ends)
        for number, *ends in warehouse.select(CYCLE_TIMES)
    }
    assert truth
    assert found == truth


def test_worklog_hours_per_person_and_week(site: Simulation, warehouse: Warehouse) -> None:
    truth: Counter[tuple[str | None, str]] = Counter()
    for record in site.expected("issues"):
        for log in record["issue"]["fields"]["worklog"]:
            week = instant(log["started"]).strftime("%Y-%W")
            truth[user(person(log["author"])), week] += log["timeSpentSeconds"]
    assert truth
    assert counted(warehouse.select(HOURS)) == truth


def test_the_report_of_sprints(site: Simulation, warehouse: Warehouse) -> None:
    done = {
        record["id"]: record["issue"]["fields"]["status"]["statusCategory"]["key"] == DONE
        for record in site.expected("issues")
    }
    truth: dict[str, list[bool]] = {}
    for record in site.expected("sprint-issues"):
        truth.setdefault(f"Sprint {record['sprint']}", []).append(done[record["id"]])
    rows = warehouse.select(SPRINT_REPORT)
    assert {name: (count, ended) for name, _, count, ended in rows} == {n: (len(d), sum(d)) for n, d in truth.items()}
    assert {state for _, state, _, _ in rows} == {"closed", "active", "future"}


def test_who_may_read_an_item_through_groups(site: Simulation, warehouse: Warehouse) -> None:
    found: dict[str, set[str]] = {}
    for number, reader in warehouse.select(READERS):
        found.setdefault(number, set()).add(str(reader))
    active = {user(person(p)) for p in site.expected("users") if p["active"]}
    levels = {item(r["key"]): r["issue"]["fields"]["security"] for r in site.expected("issues")}
    for record in site.expected("readers"):
        if levels[item(record["key"])]:  # the others are open to every account
            assert found[item(record["key"])] & active == {user(account) for account in record["readers"]}
    assert any(levels.values())


def test_items_that_were_deleted_are_marked(site: Simulation, warehouse: Warehouse) -> None:
    before = {record["id"]: record["key"] for record in site.expected("issues")}
    gone = {item(before[str(number)]) for number in site.mutate("delete", count=4, seed=9)}
    warehouse.run("jira.issues", options=RunOptions(reconcile=True))
    warehouse.run("jira.acl")
    marked = {
        number for (number,) in warehouse.select("select cdm_id from cdm_work_item where _deleted_at is not null")
    }
    assert marked == gone
    left = {
        number
        for (number,) in warehouse.select("select distinct item_cdm_id from cdm_work_access where _deleted_at is null")
    }
    assert not left & gone
