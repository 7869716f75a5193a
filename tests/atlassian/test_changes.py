"""Mutations of a site while it is read: its answers and its expected records change together."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_ray.testing import atlassian as public
from tests.atlassian.conftest import opened

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
SEARCH = "/rest/api/3/search/jql"


def test_one_seed_is_one_site_and_another_seed_another() -> None:
    def content(seed: int) -> list[str]:
        with simulate(issues=60, seed=seed, frozen=True) as sim:
            return [json.dumps(r, sort_keys=True).replace(sim.url, "") for r in sim.expected("issues")]

    assert content(3) == content(3)
    assert content(3) != content(4)


def test_jira_changes_show_where_they_should() -> None:
    with simulate(issues=200, projects=3, frozen=True) as sim, opened(sim) as client:

        def count(jql: str) -> int:
            return int(client.post("/rest/api/3/search/approximate-count", json={"jql": jql}).json()["count"])

        start = sim.now_ms()
        sim.advance_clock(60)
        updated = sim.mutate("update", count=20, seed=1)
        assert count(f"updated > {start}") == len(updated) == 20
        created = sim.mutate("create", count=5, project="BOR")
        assert count("project is not EMPTY") == 205
        gone = sim.mutate("delete", count=7, seed=2)
        assert count("project is not EMPTY") == 198
        assert client.get(f"/rest/api/3/issue/{gone[0]}").status_code == 404
        sim.advance_clock(60)
        (moved,) = sim.mutate("move", ids=[created[0]], to="CIN")
        issue = client.get(f"/rest/api/3/issue/{moved}").json()
        assert issue["key"].startswith("CIN-")
        old = next(
            h
            for h in client.get(f"/rest/api/3/issue/{moved}/changelog").json()["values"]
            if h["items"][0]["field"] == "Key"
        )
        assert client.get(f"/rest/api/3/issue/{old['items'][0]['fromString']}").json()["id"] == str(moved)
        (hidden,) = sim.mutate("restrict", count=1, seed=3)
        assert client.get(f"/rest/api/3/issue/{hidden}").status_code == 404
        assert count("project is not EMPTY") == 197
        sim.mutate("unrestrict", ids=[hidden])
        archived = sim.mutate("archive", count=4, seed=4)
        assert count("project is not EMPTY") == 194
        sim.mutate("restore", ids=archived)
        assert count("project is not EMPTY") == 198
        assert {r["id"] for r in sim.expected("deleted")} == {str(n) for n in gone}


def test_silent_edits_do_not_move_updated_and_comments_do() -> None:
    with simulate(issues=50, projects=1, frozen=True) as sim:
        before = {r["id"]: r for r in sim.expected("issues")}
        sim.advance_clock(60)
        (silent,) = sim.mutate("silent", count=1)
        (commented,) = sim.mutate("comment", count=1, each=30, seed=5)
        after = {r["id"]: r for r in sim.expected("issues")}
        quiet = str(silent)
        assert after[quiet]["updated_ms"] == before[quiet]["updated_ms"] or silent == commented
        assert (
            after[quiet]["issue"]["fields"]["customfield_10016"]
            != before[quiet]["issue"]["fields"]["customfield_10016"]
        )
        loud = after[str(commented)]
        assert loud["updated_ms"] == sim.now_ms()
        assert len(loud["issue"]["fields"]["comment"]) == len(before[str(commented)]["issue"]["fields"]["comment"]) + 30


def test_deleted_worklogs_are_in_their_feed_after_a_minute() -> None:
    with simulate(issues=300, frozen=True) as sim, opened(sim) as client:
        start = sim.now_ms()
        gone = sim.mutate("delete-worklog", count=4)
        feed = client.get("/rest/api/3/worklog/deleted", params={"since": start}).json()
        assert feed["values"] == []
        sim.advance_clock(90)
        feed = client.get("/rest/api/3/worklog/deleted", params={"since": start}).json()
        assert {v["worklogId"] for v in feed["values"]} == set(gone)
        assert feed["lastPage"] is True
        listed = {
            v["worklogId"] for v in client.get("/rest/api/3/worklog/updated", params={"since": 0}).json()["values"]
        }
        assert not listed & set(gone)


@pytest.mark.slow
def test_the_worklog_feed_pages_by_a_thousand() -> None:
    with simulate(issues=4000, projects=2) as sim, opened(sim) as client:
        wanted = {int(w["id"]) for r in sim.expected("issues") for w in r["issue"]["fields"]["worklog"]}
        assert len(wanted) > 1000
        got: set[int] = set()
        url = "/rest/api/3/worklog/updated?since=0"
        while True:
            page = client.get(url).json()
            got |= {v["worklogId"] for v in page["values"]}
            if page["lastPage"]:
                break
            url = page["nextPage"]
        assert got == wanted


def test_fields_can_be_renamed_and_retyped_and_two_share_a_name() -> None:
    with simulate(issues=10) as sim, opened(sim) as client:
        names = [f["name"] for f in client.get("/rest/api/3/field").json()]
        assert names.count("Severity") == 2
        sim.mutate(
            "rename-field",
            field="customfield_10016",
            name="Estimate",
            schema={"type": "string", "custom": "x:y", "customId": 10016},
        )
        field = next(f for f in client.get("/rest/api/3/field").json() if f["id"] == "customfield_10016")
        assert (field["name"], field["schema"]["type"]) == ("Estimate", "string")


def test_unknown_operations_and_targets_are_errors() -> None:
    with simulate(issues=10) as sim:
        for request in ({"op": "explode"}, {"op": "update", "project": "NOPE"}):
            with pytest.raises(ValueError, match=r"explode|NOPE"):
                sim.mutate(**request)


@pytest.mark.skipif(not (DATA / "jira-issues.jsonl.gz").exists(), reason="real issues are not beside the project")
def test_real_issues_are_served_as_they_were_written() -> None:
    with simulate(issues=300, data=DATA) as sim, opened(sim) as client:
        records = list(sim.expected("issues", api="2"))
        assert len(records) == 300
        key = records[5]["key"]
        two = client.get(f"/rest/api/2/issue/{key}").json()["fields"]
        assert two["summary"] == records[5]["issue"]["fields"]["summary"]
        assert any("{code" in (r["issue"]["fields"]["description"] or "") for r in records)
        project = records[0]["project"]
        total = client.post("/rest/api/3/search/approximate-count", json={"jql": f"project = {project}"}).json()[
            "count"
        ]
        assert total == sum(r["project"] == project for r in records)


@pytest.mark.skipif(not (DATA / "wiki-pages.jsonl.gz").exists(), reason="real pages are not beside the project")
def test_real_pages_are_served_as_storage_format() -> None:
    with simulate("confluence", pages=100, spaces=2, data=DATA) as sim, opened(sim) as client:
        record = next(
            r for r in sim.expected() if "<h" in r["body"] and r["status"] == "current" and r["type"] == "page"
        )
        page = client.get(f"/wiki/api/v2/pages/{record['id']}", params={"body-format": "storage"}).json()
        assert page["body"]["storage"]["value"] == record["body"]


@pytest.mark.slow
@pytest.mark.parametrize("module", ["ingest_ray.simulators.atlassian", "ingest_ray.testing.atlassian"])
def test_the_command_line_prints_one_line_and_stops_on_sigterm(module: str) -> None:
    options = ["jira", "--issues", "20", "--seed", "3", "--trap", "short-pages"]
    command = [sys.executable, "-m", module, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        ready = json.loads(child.stdout.readline())
        assert set(ready) == {"url", "user", "token", "mode"}
        me = httpx.get(f"{ready['url']}/rest/api/3/myself", auth=(ready["user"], ready["token"]), trust_env=False)
        assert me.json()["emailAddress"] == ready["user"]
        assert httpx.get(f"{ready['url']}/__sim/stats", trust_env=False).json()["requests"] == 1
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=60) in (0, -signal.SIGTERM)
        assert child.stderr.read() == ""
    wrong = subprocess.run([*command, "--trap", "nothing"], capture_output=True, text=True, timeout=120, check=False)
    assert wrong.returncode == 2
    assert "nothing" in wrong.stderr


def test_the_public_face_offers_the_same_names() -> None:
    assert public.simulate is simulate
    assert public.Simulation is Simulation


def test_a_site_of_its_own_process_behaves_the_same() -> None:
    with simulate(issues=40, frozen=True, process=True) as other, simulate(issues=40, frozen=True) as own:
        theirs = [json.dumps(r).replace(other.url, "") for r in other.expected("issues")]
        assert theirs == [json.dumps(r).replace(own.url, "") for r in own.expected("issues")]
