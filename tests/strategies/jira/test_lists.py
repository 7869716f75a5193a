"""Boards, sprints, versions and the other lists, and what hangs on issues: everything that the site has, on both deployments."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.types import Endpoint, RunMode, RunState
from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_strategies.atlassian.tables import dataset_of
from ingest_strategies.jira.issue_tables import ATTACHMENTS, ISSUE_LINKS, ISSUE_TABLES
from ingest_strategies.jira.list_tables import LIST_TABLES
from ingest_strategies.jira.reading import issue_children
from ingest_strategies.jira.reading.rows import Item, RowBuilder
from tests.strategies.jira.site import Lake, endpoint_of, issues_of
from tests.strategies.jira.test_access import read
from tests.strategies.odd_objects import make_object
from tests.strategies.test_odd_objects import raws, rejecting

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["cloud", "dc"])
def site(request: pytest.FixtureRequest) -> Any:
    with simulate("jira", request.param, issues=120, projects=4, traps=["service-desks"], frozen=True) as sim:
        yield sim


def rows(sim: Simulation, unit: str, **config: Any) -> list[dict[str, Any]]:
    found, rejects = read(sim, unit, **config)
    assert not rejects
    return found


def get(sim: Simulation, path: str) -> Any:
    with httpx.Client(base_url=sim.url, verify=False, auth=(sim.user, sim.token), trust_env=False) as client:
        return client.get(path).raise_for_status().json()


def test_lists_of_projects_and_of_the_site_are_complete(site: Simulation) -> None:
    keys = [project["key"] for project in site.expected("projects")]
    counts = {"versions": 4, "components": 3, "project_roles": 3, "security_levels": 2, "permission_grants": 2}
    for name, each in counts.items():
        found = rows(site, f"jira.{name}")
        assert Counter(row["project"] for row in found) == dict.fromkeys(keys, each), name
    version = next(row for row in rows(site, "jira.versions") if row["name"] == "1.0")
    assert (str(version["release_date"]), version["released"]) == ("2026-03-02", True)
    assert {row["key"] for row in rows(site, "jira.status_categories")} == {"undefined", "new", "indeterminate", "done"}
    assert {row["jql"] for row in rows(site, "jira.filters")} == {f"project = {key} ORDER BY Rank ASC" for key in keys}
    groups = {group["id"]: group for group in site.expected("groups")}
    assert {row["id"]: row["name"] for row in rows(site, "jira.groups")} == {n: g["name"] for n, g in groups.items()}
    members = Counter(row["group_id"] for row in rows(site, "jira.group_members"))
    assert members == {number: len(group["members"]) for number, group in groups.items() if group["members"]}
    options = rows(site, "jira.field_options")
    assert Counter(row["field_id"] for row in options) == {
        "customfield_10020": 3, "customfield_10026": 4, "customfield_10027": 3
    }  # fmt: skip


def test_sprints_have_their_issues_and_boards_without_sprints_none(site: Simulation) -> None:
    assert [row["type"] for row in rows(site, "jira.boards")] == ["scrum", "kanban"] * 2
    sprints = rows(site, "jira.sprints")
    assert Counter(row["board_id"] for row in sprints) == {"1": 5, "3": 5}
    assert {row["state"] for row in sprints} == {"closed", "active", "future"}
    members = {(row["issue_id"], row["sprint_id"]) for row in rows(site, "jira.sprint_issues")}
    assert members
    assert members == {(record["id"], record["sprint"]) for record in site.expected("sprint-issues")}


def test_what_hangs_on_issues_is_complete(site: Simulation) -> None:
    issues = {number: record["issue"] for number, record in issues_of(site).items()}
    links = rows(site, "jira.issue_links")
    inner = {(number, link["id"]) for number, issue in issues.items() for link in issue["fields"]["issuelinks"]}
    parents = {(number, f"parent-{number}") for number, issue in issues.items() if issue["fields"].get("parent")}
    assert parents
    assert {(row["issue_id"], row["id"]) for row in links} == inner | parents
    assert {row["direction"] for row in links} == {"inward", "outward"}
    remote = Counter(row["issue_id"] for row in rows(site, "jira.remote_links"))
    watchers = Counter(row["issue_id"] for row in rows(site, "jira.watchers"))
    votes = Counter(row["issue_id"] for row in rows(site, "jira.votes"))
    for number, issue in issues.items():
        assert remote[number] == len(get(site, f"/rest/api/2/issue/{number}/remotelink"))
        assert watchers[number] == issue["fields"]["watches"]["watchCount"]
        assert votes[number] == issue["fields"]["votes"]["votes"]
    files = rows(site, "jira.attachments")
    truth = {file["id"]: file["size"] for issue in issues.values() for file in issue["fields"]["attachment"]}
    assert {row["id"]: row["file_size"] for row in files} == truth


def test_requests_of_service_desks_have_their_slas(site: Simulation) -> None:
    found = rows(site, "jira.requests")
    desks = {project["key"] for project in site.expected("projects")} & {"BOR", "DRI"}
    assert {row["issue_id"] for row in found} == {
        n for n, record in issues_of(site).items() if record["project"] in desks
    }
    slas = [sla for row in found for sla in json.loads(row["slas"])]
    assert Counter(sla["name"] for sla in slas) == dict.fromkeys(
        ("Time to first response", "Time to resolution"), len(found)
    )


@pytest.mark.parametrize("denied", ["board", "filter", "group/bulk", "versions", "issuesecurityschemes", "watchers"])
def test_a_refusal_of_one_unit_ends_no_other(tmp_path: Path, denied: str) -> None:
    units = {"board": "boards", "filter": "filters", "group/bulk": "groups", "versions": "versions",
             "issuesecurityschemes": "security_levels", "watchers": "watchers"}  # fmt: skip
    trap = f"denied-403=after:0@{'project/APO/version' if denied == 'versions' else denied}"
    with simulate("jira", issues=30, projects=2, traps=[trap], frozen=True) as sim:
        for name in ("components", units[denied], "issues"):
            mode = RunMode.INCREMENTAL if name == "issues" else RunMode.FULL
            done = Lake(tmp_path / name, endpoint_of(sim), unit=f"jira.{name}", mode=mode).run()
            expected = RunState.FAILED if name == units[denied] else RunState.SUCCEEDED
            assert done.state is expected, name
            if done.error:
                assert done.error.code == "E_SOURCE_DENIED"


@pytest.mark.parametrize("unit", ["jira.issue_links", "jira.watchers", "jira.attachments"])
def test_children_of_issues_follow_in_increments(tmp_path: Path, unit: str) -> None:
    with simulate("jira", issues=60, projects=2) as sim:
        lake = Lake(tmp_path, endpoint_of(sim), unit=unit)
        assert lake.run().state is RunState.SUCCEEDED
        before = lake.table().num_rows
        moved = sim.mutate("update", count=5)
        sim.advance_clock(300)
        assert lake.run().state is RunState.SUCCEEDED
        table = lake.table()
        assert table.num_rows == before
        newer = [row for row in table.to_pylist() if int(row["issue_id"]) in moved]
        assert all(row["issue_updated"].timestamp() * 1000 >= sim.now_ms() - 400_000 for row in newer)


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_the_bytes_of_attachments_are_stored_once(tmp_path: Path, mode: Any) -> None:
    with simulate("jira", mode, issues=120, projects=2, frozen=True) as sim:
        objects = str(tmp_path / "objects")
        found = rows(sim, "jira.attachments", objects_uri=objects)
        assert found
        for row in found:
            assert row["object_fault"] is None
            assert row["object_uri"] is not None
            assert Path(row["object_uri"]).stat().st_size == row["file_size"]
            assert len(row["sha256"]) == 64
        sim.reset_stats()
        assert rows(sim, "jira.attachments", objects_uri=objects) == found
        assert not [name for name in sim.stats()["endpoints"] if "content" in name or "secure" in name]


def test_a_refused_attachment_costs_only_its_bytes(tmp_path: Path) -> None:
    with simulate("jira", issues=120, projects=2, traps=["missing-scope=at:2@attachment/content"], frozen=True) as sim:
        found = rows(sim, "jira.attachments", objects_uri=str(tmp_path / "objects"), requests_at_once=1)
        assert sum(row["object_uri"] is None for row in found) == 1
        assert all((row["object_uri"] is None) == (row["object_fault"] is not None) for row in found)


SCHEMAS = {
    "jira.versions": ("jira-cloud-v3", "Version"), "jira.components": ("jira-cloud-v3", "ComponentWithIssueCount"),
    "jira.filters": ("jira-cloud-v3", "FilterDetails"), "jira.status_categories": ("jira-cloud-v3", "StatusCategory"),
    "jira.groups": ("jira-cloud-v3", "GroupDetails"), "jira.group_members": ("jira-cloud-v3", "UserDetails"),
    "jira.project_roles": ("jira-cloud-v3", "ProjectRole"), "jira.permission_grants": ("jira-cloud-v3", "PermissionGrant"),
    "jira.security_levels": ("jira-cloud-v3", "SecurityLevel"), "jira.field_options": ("jira-cloud-v3", "CustomFieldContextOption"),
    "jira.boards": ("jira-agile-1.0", "Board"), "jira.sprints": ("jira-dc-10.3", "SprintBean"),
    "jira.sprint_issues": ("jira-agile-1.0", "IssueBean"), "jira.remote_links": ("jira-cloud-v3", "RemoteIssueLink"),
    "jira.watchers": ("jira-cloud-v3", "UserDetails"), "jira.votes": ("jira-cloud-v3", "User"),
    "jira.attachments": ("jira-cloud-v3", "Attachment"), "jira.issue_links": ("jira-cloud-v3", "IssueLink"),
}  # fmt: skip
CONTEXT = {"issue.id": "1", "issue.key": "A-1", "project.id": "1", "project.key": "A", "group.id": "g", "field.id": "f",
           "context.id": "c", "sprint.id": "s", "link.id": "l"}  # fmt: skip


@pytest.mark.parametrize("name", SCHEMAS)
def test_odd_objects_of_every_list_land_or_are_alone_in_quarantine(name: str) -> None:
    random, rejects = Random(name), []
    table = next(table for table in (*LIST_TABLES, *ISSUE_TABLES) if table.name == name)
    bodies = raws(
        [make_object(*SCHEMAS[name], random, **({"id": "1"} if random.random() < 0.9 else {})) for _ in range(60)]
    )
    dataset = dataset_of(
        Endpoint(endpoint_id="odd", template="jira.http", config={}), table, None, {"deployment": "Cloud"}
    )
    schema = schema_of(dataset)
    context = CONTEXT | {"issue.updated": datetime(2026, 1, 1, tzinfo=UTC)}
    items = [Item(body, context) for body in bodies]
    if table is ISSUE_LINKS:
        items = [Item(item.body, context | issue_children.link_context(item.body)) for item in items]
    batch = RowBuilder(dataset, schema).batch(items, rejecting(rejects))
    assert batch.num_rows + len(rejects) == len(items)
    assert batch.num_rows or table is ATTACHMENTS
