"""From a simulated Jira into a lake: every field of every object equals that of the simulator."""

import json
from pathlib import Path

import pytest

from ingest_ray.sdk.types import RunMode, RunState
from ingest_ray.simulators.atlassian import simulate
from tests.strategies.jira.site import Lake, assert_exact, children_of, comparable, endpoint_of, issues_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_many_issues_land_with_every_field_and_a_second_run_reads_only_what_changed(tmp_path: Path, mode: str) -> None:
    issues = 2000 if mode == "cloud" else 800
    with simulate(mode=mode, issues=issues, projects=5) as sim:  # type: ignore[arg-type]
        lake = Lake(tmp_path, endpoint_of(sim))
        first = lake.run()
        assert first.state is RunState.SUCCEEDED, first.error
        assert first.rows.committed == issues
        assert first.rows.quarantined == 0
        assert_exact(lake, sim)

        sim.reset_stats()
        assert lake.run().rows.read == 0
        requests = sim.stats()["endpoints"]
        counting = next(
            n for name, n in requests.items() if name.endswith(("approximate-count", "POST /rest/api/{api}/search"))
        )
        assert counting == 1, "unchanged projects cost one count together"
        assert sum(requests.values()) == 5, requests

        sim.mutate("update", count=20, seed=1)
        sim.mutate("move", count=5, seed=2)
        sim.mutate("create", count=5)
        sim.advance_clock(600)
        third = lake.run()
        assert third.state is RunState.SUCCEEDED, third.error
        assert third.rows.read <= 30
        assert_exact(lake, sim, own=True)


def test_typed_columns_equal_the_payload(tmp_path: Path) -> None:
    with simulate(issues=300, projects=2) as sim:
        lake = Lake(tmp_path, endpoint_of(sim))
        lake.run()
        truth, rows = issues_of(sim), lake.rows()
    for number, record in truth.items():
        row, fields = rows[number], record["issue"]["fields"]
        assert row["key"] == record["key"]
        assert row["project"] == record["project"]
        assert round(row["updated"].timestamp() * 1000) == record["updated_ms"]
        assert round(row["created"].timestamp() * 1000) == record["created_ms"]
        assert row["summary"] == fields["summary"]
        assert row["status"] == fields["status"]["name"]
        assert row["status_category"] == fields["status"]["statusCategory"]["key"]
        assert row["priority"] == (fields["priority"] or {}).get("name")
        assert row["assignee_id"] == (fields["assignee"] or {}).get("accountId")
        assert row["labels"] == fields["labels"]
        assert row["components"] == [component["name"] for component in fields["components"]]
        assert row["parent_id"] == (fields.get("parent") or {}).get("id")
        assert (row["due"].isoformat() if row["due"] else None) == fields["duedate"]
        assert (json.loads(row["description"]) if row["description"] else None) == fields["description"]
        assert row["customfield_10020"] == (fields["customfield_10020"] or {}).get("value")
        assert row["customfield_10021"] == fields["customfield_10021"]
        assert row["customfield_10023"] == (
            [u["accountId"] for u in fields["customfield_10023"]] if fields["customfield_10023"] else None
        )
        big = fields["customfield_10029"]
        assert (row["customfield_10029"] is None) if big is None else (float(row["customfield_10029"]) == float(big))
        if isinstance(big, int):
            assert int(row["customfield_10029"]) == big


@pytest.mark.parametrize("mode", ["cloud", "dc"])
@pytest.mark.parametrize(
    ("unit", "inner"), [("jira.comments", "comment"), ("jira.worklogs", "worklog"), ("jira.changelogs", "changelog")]
)
def test_e48_all_of_a_list_lands_however_much_of_it_is_embedded(
    tmp_path: Path, mode: str, unit: str, inner: str
) -> None:
    with simulate(mode=mode, issues=600, projects=2) as sim:  # type: ignore[arg-type]
        lake = Lake(tmp_path, endpoint_of(sim), unit=unit)
        summary = lake.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
        truth = {child["id"]: (number, child) for number, child in children_of(sim, inner)}
        longest = max(
            sum(1 for owner, _ in truth.values() if owner == number) for number in {o for o, _ in truth.values()}
        )
        assert longest > 40 or inner == "worklog"
        assert longest > 20
        rows = lake.rows()
        assert rows.keys() == truth.keys()
        for number, (owner, child) in truth.items():
            assert rows[number]["issue_id"] == owner
            payload = json.loads(rows[number]["payload"])
            assert {**payload, "created": None} == {**child, "created": None}
        assert lake.run().rows.read == 0


def test_a_full_run_replaces_and_holds_every_issue_once_while_they_change(tmp_path: Path) -> None:
    with simulate(issues=300, projects=2) as sim:
        lake = Lake(tmp_path, endpoint_of(sim, slice_issues=50), mode=RunMode.FULL)
        first = lake.run()
        assert first.state is RunState.SUCCEEDED, first.error
        assert first.slices.planned >= 6
        assert_exact(lake, sim)
        sim.mutate("delete", count=30, seed=4)
        assert lake.run().rows.committed == 270
        assert_exact(lake, sim)


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_projects_and_users_land_whole(tmp_path: Path, mode: str) -> None:
    with simulate(mode=mode, issues=50, projects=120, users=2300 if mode == "cloud" else 230) as sim:  # type: ignore[arg-type]
        projects = Lake(tmp_path / "p", endpoint_of(sim), unit="jira.projects", mode=RunMode.FULL)
        assert projects.run().state is RunState.SUCCEEDED
        assert {row["key"] for row in projects.table().to_pylist()} == {p["key"] for p in sim.expected("projects")}
        users = Lake(tmp_path / "u", endpoint_of(sim), unit="jira.users", mode=RunMode.FULL, datasets=projects.datasets)
        assert users.run().state is RunState.SUCCEEDED
        truth = {p.get("accountId") or p["key"]: p for p in sim.expected("users") if p.get("accountType") != "app"}
        rows = {row["account_id"]: row for row in users.table().to_pylist()}
        assert rows.keys() == truth.keys()
        assert all(json.loads(rows[number]["payload"]) == person for number, person in truth.items())


def test_deleted_worklogs_come_from_their_feed(tmp_path: Path) -> None:
    with simulate(issues=400, projects=2) as sim:
        lake = Lake(tmp_path, endpoint_of(sim), unit="jira.worklogs")
        lake.run()
        gone = {str(number) for number in sim.mutate("delete-worklog", count=6, seed=5)}
        sim.advance_clock(900)
        second = lake.run()
        assert second.state is RunState.SUCCEEDED, second.error
        rows = lake.rows()
        assert {number for number, row in rows.items() if row["deleted_at"] is not None} == gone
        assert {child["id"] for _, child in children_of(sim, "worklog")} == rows.keys() - gone
        sim.advance_clock(900)
        lake.run()
        assert {number for number, row in lake.rows().items() if row["deleted_at"] is not None} == gone


def test_real_issues_are_stored_unchanged(tmp_path: Path) -> None:
    data = Path(__file__).parents[3] / ".." / "shared" / "data"
    if not (data / "jira-issues.jsonl.gz").exists():
        pytest.skip("no real issues beside the project: ../shared/data/jira-issues.jsonl.gz")
    with simulate(issues=150, data=data) as sim:
        lake = Lake(tmp_path, endpoint_of(sim))
        assert lake.run().state is RunState.SUCCEEDED
        truth = issues_of(sim)
        rows = lake.rows()
        assert rows.keys() == truth.keys()
        for number, record in truth.items():
            assert comparable(json.loads(rows[number]["payload"])) == comparable(record["issue"])
