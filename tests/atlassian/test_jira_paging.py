"""Tokens, page sizes, caps and bulk endpoints of Jira Cloud and Data Center."""

from typing import Any

from ingest_ray.simulators.atlassian import Simulation, simulate
from tests.atlassian.conftest import opened

SEARCH = "/rest/api/3/search/jql"
ALL = {"jql": "project is not EMPTY ORDER BY id ASC"}


def test_the_default_page_has_ids_only_and_the_last_one_no_token(jira: Simulation) -> None:
    with opened(jira) as client:
        first = client.get(SEARCH, params=ALL).json()
        assert set(first["issues"][0]) == {"id"}
        assert len(first["issues"]) == 50
        assert first["isLast"] is False
        last = client.get(SEARCH, params=ALL | {"maxResults": "5000"}).json()
        assert set(last) == {"issues", "isLast"}
        assert last["isLast"] is True
        wide = client.get(SEARCH, params=ALL | {"maxResults": "5000", "fields": "*all"}).json()
        assert len(wide["issues"]) == 100
        assert wide["nextPageToken"]


def test_wrong_sizes_unknown_properties_and_bad_tokens_are_refused(jira: Simulation) -> None:
    with opened(jira) as client:
        for size in (0, -1, 5001):
            assert client.get(SEARCH, params=ALL | {"maxResults": str(size)}).status_code == 400
        refused = client.post(SEARCH, json=ALL | {"startAt": 0})
        assert refused.json()["errorMessages"] == [
            "Invalid request payload. Refer to the REST API documentation and try again."
        ]
        assert client.post(SEARCH, json=ALL | {"expand": ["changelog"]}).status_code == 400
        assert client.get(SEARCH, params=ALL | {"startAt": "40"}).status_code == 200
        assert client.get(SEARCH, params=ALL | {"nextPageToken": "what"}).status_code == 400
        token = client.get(SEARCH, params=ALL).json()["nextPageToken"]
        assert client.get(SEARCH, params={"jql": "project = APO", "nextPageToken": token}).status_code == 400


def test_problems_of_the_framework_are_problem_json(jira: Simulation) -> None:
    with opened(jira) as client:
        for answer in (
            client.get("/rest/api/3/nothing"),
            client.get(SEARCH, params=ALL | {"maxResults": "abc"}),
            client.put(SEARCH),
        ):
            assert answer.headers["content-type"].startswith("application/problem+json")
            assert answer.json()["status"] == answer.status_code
        assert client.get("/rest/api/3/nothing").json()["detail"] == "No endpoint GET /rest/api/3/nothing."


def test_a_token_dies_after_seven_days() -> None:
    with simulate(issues=120, projects=2) as sim, opened(sim) as client:
        token = client.get(SEARCH, params=ALL).json()["nextPageToken"]
        sim.advance_clock(6 * 86_400)
        assert client.get(SEARCH, params=ALL | {"nextPageToken": token}).status_code == 200
        sim.advance_clock(86_400)
        assert client.get(SEARCH, params=ALL | {"nextPageToken": token}).status_code == 400


def test_inline_lists_are_cut_and_say_how_long_they_are(jira: Simulation) -> None:
    records = list(jira.expected("issues"))
    long = [r for r in records if len(r["issue"]["changelog"]) > 40 or len(r["issue"]["fields"]["comment"]) > 20]
    assert long
    with opened(jira) as client:
        for record in long:
            asked = {"issueIdsOrKeys": [record["id"]], "fields": ["*all"], "expand": ["changelog"]}
            issue = client.post("/rest/api/3/issue/bulkfetch", json=asked).json()["issues"][0]
            comments, histories = issue["fields"]["comment"], issue["changelog"]
            assert comments["total"] == len(record["issue"]["fields"]["comment"])
            assert len(comments["comments"]) == min(comments["total"], 20)
            assert histories["total"] == len(record["issue"]["changelog"])
            assert [h["id"] for h in histories["histories"]] == [
                h["id"] for h in record["issue"]["changelog"][::-1][:40]
            ]
            whole: list[Any] = []
            while len(whole) < comments["total"]:
                page = client.get(f"/rest/api/3/issue/{record['id']}/comment", params={"startAt": len(whole)}).json()
                assert page["comments"]
                whole += page["comments"]
            assert whole == record["issue"]["fields"]["comment"]


def test_every_field_of_every_issue_equals_the_truth(jira: Simulation) -> None:
    with opened(jira) as client:
        for record in list(jira.expected("issues"))[:120]:
            asked = {"issueIdsOrKeys": [record["id"]], "fields": ["*all"]}
            fields = client.post("/rest/api/3/issue/bulkfetch", json=asked).json()["issues"][0]["fields"]
            for name, value in record["issue"]["fields"].items():
                if name not in ("comment", "worklog"):
                    assert fields[name] == value, name


def test_bulkfetch_sorts_by_id_and_leaves_out_what_is_not_there(jira: Simulation) -> None:
    with opened(jira) as client:
        ids = [i["id"] for i in client.get(SEARCH, params=ALL).json()["issues"]]
        got = client.post(
            "/rest/api/3/issue/bulkfetch", json={"issueIdsOrKeys": [*ids[::-1], "99"], "fields": ["summary"]}
        ).json()
        assert [i["id"] for i in got["issues"]] == sorted(ids, key=int)
        assert ids != sorted(ids, key=int), "search sorts by key"
        assert got["issueErrors"] == []
        assert client.post("/rest/api/3/issue/bulkfetch", json={"issueIdsOrKeys": ["1"] * 101}).status_code == 400


def test_bulk_changelogs_page_within_an_issue(jira: Simulation) -> None:
    records = [r for r in jira.expected("issues") if len(r["issue"]["changelog"]) > 3][:10]
    with opened(jira) as client:
        asked: dict[str, Any] = {"issueIdsOrKeys": [r["id"] for r in records], "maxResults": 3}
        got: list[str] = []
        while True:
            page = client.post("/rest/api/3/changelog/bulkfetch", json=asked).json()
            got += [h["id"] for log in page["issueChangeLogs"] for h in log["changeHistories"]]
            if "nextPageToken" not in page:
                break
            asked["nextPageToken"] = page["nextPageToken"]
        assert got == [h["id"] for r in records for h in r["issue"]["changelog"]]


def test_adf_in_version_3_is_wiki_markup_in_version_2(jira: Simulation) -> None:
    with opened(jira) as client:
        record = next(r for r in jira.expected("issues") if r["issue"]["fields"]["description"])
        three = client.get(f"/rest/api/3/issue/{record['key']}").json()["fields"]["description"]
        two = client.get(f"/rest/api/2/issue/{record['key']}").json()["fields"]["description"]
        assert three["type"] == "doc"
        assert three["content"][-1]["content"]
        assert isinstance(two, str)


def test_removed_endpoints_answer_410_unless_they_are_wanted(jira: Simulation) -> None:
    with opened(jira) as client:
        gone = client.get("/rest/api/3/search", params={"jql": "project = APO"})
        assert gone.status_code == 410
        assert "/rest/api/3/search/jql" in gone.json()["errorMessages"][0]
    with simulate(issues=60, traps=["no-removed-endpoints"]) as sim, opened(sim) as client:
        assert client.get("/rest/api/2/search", params={"jql": ""}).json()["total"] == 60


def test_data_center_cuts_pages_without_a_word_and_has_no_search_jql(jira_dc: Simulation) -> None:
    with opened(jira_dc) as client:
        assert client.get("/rest/api/2/search/jql").status_code == 404
        assert client.get("/rest/api/2/serverInfo").json()["deploymentType"] == "Server"
    with simulate("jira", "dc", issues=150, traps=["dc-caps=40", "deep-start-500=100"]) as sim, opened(sim) as client:
        page = client.get(
            "/rest/api/2/search", params={"jql": "order by id", "maxResults": 1000, "fields": "summary"}
        ).json()
        assert (page["maxResults"], len(page["issues"]), page["total"]) == (40, 40, 150)
        deep = client.get("/rest/api/2/search", params={"jql": "order by id", "startAt": 80, "maxResults": 40})
        assert deep.status_code == 500
        assert "Search limit exceeded" in deep.json()["errorMessages"][0]


def test_attachments_lead_through_a_redirect_and_serve_ranges(jira: Simulation) -> None:
    file = next(a for r in jira.expected("issues") for a in r["issue"]["fields"]["attachment"] if a["size"] > 100)
    with opened(jira) as client:
        path = f"/rest/api/3/attachment/content/{file['id']}"
        assert client.get(path).status_code == 303
        whole = client.get(path, follow_redirects=True)
        assert len(whole.content) == file["size"]
        part = client.get(path, params={"redirect": "false"}, headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, whole.content[10:20])
        assert part.headers["content-range"] == f"bytes 10-19/{file['size']}"
        assert client.get(path, params={"redirect": "false"}, headers={"Range": "bytes=9999999-"}).status_code == 416
        assert client.get("/rest/api/3/attachment/content/1").status_code == 404
