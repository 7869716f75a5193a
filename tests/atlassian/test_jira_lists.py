"""Lists, access and history of a simulated Jira: junk is refused with 400 or 404, the changelog agrees with the issue, JQL knows the past."""

import re
from typing import Any

import httpx
import pytest

from ingest_ray.simulators.atlassian import Simulation, simulate
from tests.atlassian.conftest import opened

JUNK = {"startAt": "x", "maxResults": "x", "expand": "nonsense", "status": "nonsense", "jql": "(((", "id": "x"}
BODIES: list[Any] = [
    {"issueIdsOrKeys": "x"}, {"issueIdsOrKeys": [{}], "maxResults": "x"}, {"issueIdsOrKeys": ["1"], "nextPageToken": "x"},
    {"ids": ["x", None]}, {"ids": 7}, {"jql": 7, "startAt": "x", "maxResults": "x"}, {"queries": [None]}, {"fields": 3}, [], "x",
    {"jql": "created > -1d", "reconcileIssues": ["x"]}, {"projectPermissions": [3]},
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_junk_is_refused_and_never_a_server_error(mode: Any) -> None:
    with simulate("jira", mode, issues=40, projects=3, traps=["service-desks"]) as sim, opened(sim) as client:
        for template in sim.endpoints():
            method, _, path = template.partition(" ")
            path = path.replace("{api}", "2")
            for value in ("1", "x", "100000", "APO", "%00", "-1"):
                where = re.sub(r"\{\w+\}", value, path)
                answers = [client.request(method, where, params=JUNK)]
                if method == "POST":
                    answers += [client.post(where, json=body) for body in BODIES] if value == "1" else []
                for answer in answers:
                    assert answer.status_code < 500, f"{method} {where}: {answer.text[:200]}"


def search(client: httpx.Client, jql: str) -> set[str]:
    answer = client.post("/rest/api/3/search/jql", json={"jql": jql, "maxResults": 5000, "fields": ["id"]})
    assert answer.status_code == 200, answer.text
    return {issue["id"] for issue in answer.json()["issues"]}


def test_a_changelog_leads_from_value_to_value_to_that_of_the_issue(jira: Simulation) -> None:
    for record in jira.expected("issues"):
        issue = record["issue"]
        values: dict[str, str | None] = {}
        for history in issue["changelog"]:
            for item in history["items"]:
                if item["fieldId"] in ("status", "assignee"):
                    assert values.get(item["fieldId"], item["from"]) == item["from"]
                    values[item["fieldId"]] = item["to"]
        person = issue["fields"]["assignee"]
        assert values.get("status", issue["fields"]["status"]["id"]) == issue["fields"]["status"]["id"]
        now = person and person["accountId"]
        assert values.get("assignee", now) == now


def test_jql_knows_the_values_that_a_field_had(jira: Simulation) -> None:
    done = {
        record["id"]
        for record in jira.expected("issues")
        if record["issue"]["fields"]["status"]["name"] == "Done"
        or any(
            i["toString"] == "Done" or i["fromString"] == "Done"
            for h in record["issue"]["changelog"]
            for i in h["items"]
        )
    }
    moved = {
        record["id"]
        for record in jira.expected("issues")
        if any(
            i["fieldId"] == "status" and i["toString"] == "In Review"
            for h in record["issue"]["changelog"]
            for i in h["items"]
        )
    }
    with opened(jira) as client:
        assert search(client, "status was Done") == done
        assert (
            search(client, "status was not Done and created > 0") == {r["id"] for r in jira.expected("issues")} - done
        )
        assert search(client, 'status changed to "In Review"') == moved
        assert search(client, 'status changed to "In Review" after startOfDay(-2000) before now()') == moved
        assert not search(client, "status changed after startOfDay(1)")
        refused = client.post("/rest/api/3/search/jql", json={"jql": "summary was x"})
        assert refused.status_code == 400
        assert "History searches do not support" in refused.text


@pytest.mark.parametrize(
    ("jql", "message"),
    [
        ("priority = high and project = update", "'update' is a reserved JQL word"),
        ("created > 2011/01/01", "'/' is a reserved JQL character"),
        ("assignee = a@b.example", "'@' is a reserved JQL character"),
        ("labels = a+b", "'+' is a reserved JQL character"),
    ],
)
def test_reserved_words_and_characters_are_refused(jira: Simulation, jql: str, message: str) -> None:
    with opened(jira) as client:
        answer = client.post("/rest/api/3/search/jql", json={"jql": jql})
    assert answer.status_code == 400
    assert message in answer.json()["errorMessages"][0]


def test_lists_of_administration_are_there_on_both_deployments(jira: Simulation, jira_dc: Simulation) -> None:
    for sim, rest in ((jira, "/rest/api/3"), (jira_dc, "/rest/api/2")):
        with opened(sim) as client:
            client.base_url = sim.url
            versions = client.get(f"{rest}/project/APO/versions").json()
            assert [version["name"] for version in versions] == ["1.0", "2.0", "3.0", "4.0"]
            assert len(client.get(f"{rest}/project/APO/components").json()) == 3
            assert len(client.get(f"{rest}/statuscategory").json()) == 4
            assert client.get("/rest/agile/1.0/board/2/sprint").status_code == 400
            epics = client.get("/rest/agile/1.0/board/1/epic").json()
            assert epics["values"]
            assert client.get("/rest/agile/1.0/board/1/issue?maxResults=1").json()["issues"]
    with opened(jira_dc) as client:
        assert client.get("/rest/api/2/filter/search").status_code == 404
        assert client.get("/rest/api/2/issuesecurityschemes/level/member").status_code == 404
