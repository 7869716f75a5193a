"""Each trap behaves as its line in the table describes, and no trap acts that was not set."""

import json
from typing import Any

import httpx
import pytest

import ingest_ray.simulators.atlassian
from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_ray.simulators.atlassian.server.traps import TRAPS, UnknownTrap, set_traps
from tests.atlassian.conftest import opened

SEARCH = "/rest/api/3/search/jql"
ALL = {"jql": "project is not EMPTY ORDER BY id ASC"}


def test_the_packages_table_lists_every_trap() -> None:
    table = ingest_ray.simulators.atlassian.__doc__ or ""
    for trap in TRAPS.values():
        assert f"    {trap.name} " in table, trap.name
        assert trap.summary in table, trap.name


def test_unknown_traps_are_refused() -> None:
    for spec in ("no-such-trap", "index-lag=soon", "server-errors=burst:1", "no-no"):
        with pytest.raises(UnknownTrap):
            set_traps([spec])
    assert "inline-caps" not in set_traps(["no-inline-caps"])


def walk(client: httpx.Client, most: int = 50) -> tuple[list[str], list[int]]:
    """Ids and page lengths, until no token comes or `most` pages were read."""
    ids: list[str] = []
    sizes: list[int] = []
    token = None
    for _ in range(most):
        page = client.get(SEARCH, params=ALL | ({"nextPageToken": token} if token else {})).json()
        ids += [i["id"] for i in page["issues"]]
        sizes.append(len(page["issues"]))
        token = page.get("nextPageToken")
        if not token:
            break
    return ids, sizes


def test_short_pages_are_not_the_end() -> None:
    with simulate(issues=300, traps=["short-pages=40"]) as sim, opened(sim) as client:
        ids, sizes = walk(client)
        assert len(set(ids)) == len(ids) == 300
        assert min(sizes[:-1]) < 50


def test_a_repeated_token_comes_back_for_ever() -> None:
    with simulate(issues=300, traps=["repeated-token=2", "missing-islast"]) as sim, opened(sim) as client:
        ids, sizes = walk(client, most=20)
        assert len(sizes) == 20
        assert len(set(ids)) == 150
        assert "isLast" not in client.get(SEARCH, params=ALL).json()


def test_a_token_expires_once_and_the_slice_can_start_again() -> None:
    with simulate(issues=120, traps=["expired-token=1"]) as sim, opened(sim) as client:
        token = client.get(SEARCH, params=ALL).json()["nextPageToken"]
        assert client.get(SEARCH, params=ALL | {"nextPageToken": token}).status_code == 400
        assert len(walk(client)[0]) == 120


def test_wrong_credentials_are_anonymous_and_only_a_header_says_so(jira: Simulation) -> None:
    with httpx.Client(base_url=jira.url, verify=False, auth=(jira.user, "wrong"), trust_env=False) as client:
        answer = client.get(SEARCH, params=ALL)
        assert (answer.status_code, answer.json()["issues"]) == (200, [])
        assert answer.headers["x-seraph-loginreason"] == "AUTHENTICATED_FAILED"
        assert client.get("/rest/api/3/issue/APO-1").status_code == 404
        me = client.get("/rest/api/3/myself")
        assert me.status_code == 401
        assert me.headers["www-authenticate"].startswith("OAuth realm=")
    with httpx.Client(
        base_url=jira.url, verify=False, headers={"Authorization": "Bearer x"}, trust_env=False
    ) as client:
        assert client.get(SEARCH, params=ALL).json() == {"error": "Failed to parse Connect Session Auth Token"}


def test_a_token_can_expire_in_the_middle() -> None:
    with simulate(issues=100, traps=["expired-credentials=after:3"]) as sim, opened(sim) as client:
        answers = [client.get(SEARCH, params=ALL) for _ in range(5)]
        assert [len(a.json()["issues"]) for a in answers] == [50, 50, 50, 0, 0]
        assert client.get("/rest/api/3/myself").status_code == 401


def test_search_sees_changes_late_and_reconciled_issues_at_once() -> None:
    with simulate(issues=50, projects=1, traps=["index-lag=1500"]) as sim, opened(sim) as client:
        start = sim.now_ms()
        changed = sim.mutate("update", count=3, seed=1)
        late = {"jql": f"updated >= {start}"}
        assert client.get(SEARCH, params=late).json()["issues"] == []
        got = client.post(SEARCH, json=late | {"reconcileIssues": changed[:1]}).json()["issues"]
        assert [int(i["id"]) for i in got] == changed[:1]
        sim.advance_clock(1501)
        assert sorted(int(i["id"]) for i in client.get(SEARCH, params=late).json()["issues"]) == changed


@pytest.mark.parametrize(("trap", "poisoned"), [("poison-500=1", 500), ("poison-json=1", 200)])
def test_one_poisoned_issue_spoils_its_page_and_itself_but_no_list_of_ids(trap: str, poisoned: int) -> None:
    with simulate(issues=100, projects=1, traps=[trap]) as sim, opened(sim) as client:
        bad = [r["id"] for r in sim.expected("issues", brief=True) if r["poison"]]
        ids = walk(client)[0]
        assert len(bad) == 1
        assert len(ids) == 100
        for keys, spoiled in ((ids, True), (bad, True), ([i for i in ids if i not in bad], False)):
            answer = client.post("/rest/api/3/issue/bulkfetch", json={"issueIdsOrKeys": keys, "fields": ["*all"]})
            assert answer.status_code == (poisoned if spoiled else 200)
            if spoiled and poisoned == 200:
                with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
                    answer.json()


def test_hidden_issues_are_404_and_in_no_list() -> None:
    with simulate(issues=300, traps=["permission-404=10", "forbidden-403=1"]) as sim, opened(sim) as client:
        hidden = [r for r in sim.expected("all", brief=True) if not r["searchable"]]
        assert 10 < len(hidden) < 60
        seen = walk(client)[0]
        assert not {r["id"] for r in hidden} & set(seen)
        other = next(r for r in hidden if r["project"] != "APO")
        assert client.get(f"/rest/api/3/issue/{other['id']}").status_code == 404
        assert client.get("/rest/api/3/project/APO").status_code == 403


def test_server_errors_come_in_a_burst_of_all_sorts() -> None:
    with simulate(issues=10, traps=["server-errors=burst:2:4@search"]) as sim, opened(sim) as client:
        assert client.get("/rest/api/3/myself").status_code == 200
        answers = [client.get(SEARCH, params=ALL) for _ in range(6)]
        assert [a.status_code for a in answers] == [200, 500, 502, 503, 504, 200]
        assert answers[3].headers["retry-after"] == "1"
        assert sim.stats()["faults"] == {"server-errors": 4}


def test_bodies_are_cut_in_two_ways() -> None:
    with simulate(issues=80, traps=["truncated-bodies=at:1", "truncated-json=at:2"]) as sim, opened(sim) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(SEARCH, params=ALL)
        half = client.get(SEARCH, params=ALL)
        assert half.status_code == 200
        with pytest.raises(json.JSONDecodeError):
            half.json()
        assert len(client.get(SEARCH, params=ALL).json()["issues"]) == 50


def test_a_login_page_is_html_with_status_200() -> None:
    with (
        simulate("jira", "dc", issues=10, traps=["login-page=at:1", "captcha-lock=at:2"]) as sim,
        opened(sim) as client,
    ):
        page = client.get("/rest/api/2/search")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html;charset=UTF-8")
        locked = client.get("/rest/api/2/search")
        assert (locked.status_code, locked.headers["x-seraph-loginreason"]) == (403, "AUTHENTICATION_DENIED")


def test_a_denied_login_is_200_and_single_sign_on_redirects() -> None:
    traps = ["denied-login=at:1", "sso-redirect=at:2", "too-many-requests=at:3"]
    with simulate("jira", "dc", issues=10, traps=traps) as sim, opened(sim) as client:
        empty = client.get("/rest/api/2/search")
        assert (empty.status_code, empty.json()["issues"]) == (200, [])
        assert empty.headers["x-seraph-loginreason"] == "AUTHENTICATION_DENIED"
        moved = client.get("/rest/api/2/search")
        assert moved.status_code == 302
        assert "os_destination" in moved.headers["location"]
        refused = client.get("/rest/api/2/search")
        assert (refused.status_code, refused.headers["content-type"]) == (429, "text/html;charset=UTF-8")
        assert refused.headers["x-seraph-loginreason"] == "OK"


@pytest.mark.parametrize(("accepted", "coding"), [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("br;q=0", None)])
def test_bodies_are_compressed_as_the_request_accepts_and_come_in_chunks(
    jira: Simulation, accepted: str, coding: str | None
) -> None:
    with opened(jira) as client:
        wide = ALL | {"fields": "*all"}
        with client.stream("GET", SEARCH, params=wide, headers={"accept-encoding": accepted}) as answer:
            raw = b"".join(answer.iter_raw())
        assert answer.headers.get("content-encoding") == coding
        assert ("content-length" in answer.headers) == (coding is None)
        assert raw.startswith({"gzip": b"\x1f\x8b", None: b"{"}.get(coding, raw[:1]))


@pytest.mark.parametrize("coding", ["br", "gzip"])
def test_compressed_bodies_can_end_in_mid_stream(coding: str) -> None:
    with simulate(issues=80, traps=["cut-compressed=at:1"]) as sim, opened(sim) as client:
        head = {"accept-encoding": coding}
        wide = ALL | {"fields": "*all"}
        with client.stream("GET", SEARCH, params=wide, headers=head) as cut:
            short = b"".join(cut.iter_raw())
        with client.stream("GET", SEARCH, params=wide, headers=head) as whole:
            assert len(b"".join(whole.iter_raw())) > len(short) == int(cut.headers["content-length"])
        assert cut.headers["content-encoding"] == whole.headers["content-encoding"] == coding


@pytest.mark.parametrize("product", ["jira", "confluence"])
def test_the_other_node_of_a_data_center_searches_an_older_index(product: Any) -> None:
    """`node-switch=2`: every second request."""
    with simulate(product, "dc", issues=50, projects=1, pages=50, spaces=1, frozen=True) as sim, opened(sim) as client:
        path = "/rest/api/2/search" if product == "jira" else "/rest/api/search"
        params: dict[str, str] = {"jql": "project is not EMPTY"} if product == "jira" else {"cql": "type = page"}

        def total() -> int:
            document = client.get(path, params=params).json()
            return int(document.get("total", document.get("totalSize")))

        sim.add_traps("node-switch=2")
        before = total()
        sim.mutate("create", count=5)
        seen = {total() for _ in range(4)}
        assert seen == {before, before + 5}
        sim.advance_clock(601)
        assert {total() for _ in range(4)} == {before + 5}


def test_v1_can_be_gone_on_the_sites_host_too() -> None:
    with simulate("confluence", pages=10, spaces=1, traps=["removed-v1"]) as sim, opened(sim) as client:
        assert client.get("/wiki/rest/api/content").status_code == 410
        assert client.get("/wiki/rest/api/search", params={"cql": "type = page"}).status_code == 200


def test_slow_answers_and_latency_take_their_time() -> None:
    with simulate(issues=10, latency_ms=120, traps=["slow-responses=at:2"]) as sim, opened(sim) as client:
        times = [client.get("/rest/api/3/myself").elapsed.total_seconds() for _ in range(8)]
        assert min(times) >= 0.12
        assert times[1] >= 2.0
        assert min(times[2:]) < 2.0  # a busy machine may be slow, too, but not every time


def test_messages_are_german_for_a_german_account() -> None:
    with simulate(issues=10, traps=["localized"]) as sim, opened(sim) as client:
        assert client.get("/rest/api/3/myself").json()["locale"] == "de_DE"
        assert (
            client.get("/rest/api/3/issue/APO-999").json()["errorMessages"][0].startswith("Der Vorgang existiert nicht")
        )
        assert client.get(SEARCH, params={"jql": "colour = red"}).json()["errorMessages"][0].startswith("Fehler")


def test_too_many_bodies_time_out() -> None:
    with simulate(issues=80, traps=["large-page-504=25"]) as sim, opened(sim) as client:
        assert client.get(SEARCH, params=ALL | {"fields": "*all", "maxResults": "26"}).status_code == 504
        assert client.get(SEARCH, params=ALL | {"fields": "*all", "maxResults": "25"}).status_code == 200


def test_the_budget_is_kept_with_documented_headers() -> None:
    with simulate(issues=10, rate_limit=5) as sim, opened(sim) as client:  # a busy machine asks more often, too
        answers = [client.get("/rest/api/3/myself") for _ in range(40)]
        refused = [a for a in answers if a.status_code == 429]
        assert refused
        assert sum(a.status_code == 200 for a in answers) >= 5
        assert refused[0].headers["retry-after"] == "1"
        assert refused[0].headers["ratelimit-reason"] == "jira-burst-based"
        assert refused[0].headers["x-ratelimit-reset"].endswith("Z")
        assert refused[0].headers["x-ratelimit-nearlimit"] == "true"
        stats = sim.stats()
        assert stats["too_many_requests"] == len(refused)
        assert stats["requests"] == sum(stats["per_second"]) == 40
        assert stats["endpoints"] == {"GET /rest/api/{api}/myself": 40}


def test_gateways_refuse_without_retry_after_and_buckets_can_be_per_endpoint() -> None:
    with simulate(issues=10, rate_limit=5, traps=["no-retry-after", "endpoint-buckets"]) as sim, opened(sim) as client:
        answers = [client.get("/rest/api/3/myself") for _ in range(20)]
        refused = [a for a in answers if a.status_code == 429]
        assert refused
        assert all("retry-after" not in a.headers for a in refused)
        assert client.get("/rest/api/3/field").status_code == 200
    with (
        simulate(issues=10, traps=["too-many-requests=at:1", "too-many-requests-silent=at:2"]) as sim,
        opened(sim) as client,
    ):
        first, second, third = (client.get("/rest/api/3/field") for _ in range(3))
        assert (first.status_code, second.status_code, third.status_code) == (429, 429, 200)
        assert "retry-after" in first.headers
        assert "retry-after" not in second.headers


def test_data_center_tells_its_budget_on_every_answer() -> None:
    with simulate("jira", "dc", issues=10, rate_limit=5) as sim, opened(sim) as client:
        answers = [client.get("/rest/api/2/field") for _ in range(15)]
        for answer in answers:
            assert {
                "x-ratelimit-limit",
                "x-ratelimit-remaining",
                "x-ratelimit-interval-seconds",
                "x-ratelimit-fillrate",
            } <= set(answer.headers)
            assert answer.headers["retry-after"] == ("1" if answer.status_code == 429 else "0")
        assert any(a.status_code == 429 for a in answers)


def test_oauth_tokens_rotate_and_work_at_the_gateway(jira: Simulation) -> None:
    with httpx.Client(base_url=jira.url, verify=False, trust_env=False) as client:
        cloud = client.get("/_edge/tenant_info").json()["cloudId"]
        grant = {"grant_type": "refresh_token", **jira.app}
        first = client.post("/oauth/token", json={**grant, "refresh_token": "refresh-0"}).json()
        again = client.post("/oauth/token", json={**grant, "refresh_token": "refresh-0"})
        assert again.status_code == 200, "a used refresh token is good for ten minutes more"
        assert client.post("/oauth/token", json={**grant, "refresh_token": "other"}).status_code == 403
        wrong = {**grant, "client_secret": "x", "refresh_token": "refresh-0"}
        assert client.post("/oauth/token", json=wrong).status_code == 401
        head = {"Authorization": f"Bearer {first['access_token']}"}
        assert client.get(f"/ex/jira/{cloud}/rest/api/3/myself", headers=head).status_code == 200
        assert client.get("/oauth/token/accessible-resources", headers=head).json()[0]["id"] == cloud
        assert (
            client.get(f"/ex/jira/{cloud}/rest/api/3/myself", headers={"Authorization": "Bearer x"}).status_code == 401
        )
