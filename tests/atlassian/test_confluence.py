"""Confluence: listings, cursors, CQL times, trees, restrictions, attachments, mutations, and its traps."""

from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import httpx
import pytest

from ingest_ray.simulators.atlassian import Simulation, simulate
from tests.atlassian.conftest import opened

Records = dict[str, dict[str, Any]]
V2 = "/wiki/api/v2"
V1 = "/wiki/rest/api"


def truth(sim: Simulation, **asked: Any) -> Records:
    return {r["id"]: r for r in sim.expected(**asked)}


def follow(client: httpx.Client, path: str, most: int = 100) -> list[dict[str, Any]]:
    """Every result of a v2 listing, along its next links."""
    found: list[dict[str, Any]] = []
    for _ in range(most):
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        document = answer.json()
        found += document["results"]
        path = document["_links"].get("next", "")
        assert ('rel="next"' in answer.headers["link"]) == bool(path)
        if not path:
            break
    return found


def follow_v1(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        document = client.get(path).json()
        found += document["results"]
        if "next" not in document["_links"]:
            return found
        path = document["_links"]["context"] + document["_links"]["next"]


def test_every_body_of_a_space_equals_the_truth(wiki: Simulation) -> None:
    records = truth(wiki, space="SP000")
    with opened(wiki) as client:
        pages = follow(client, f"{V2}/spaces/32768/pages?limit=25&body-format=storage")
        wanted = [i for i, r in records.items() if r["type"] == "page" and r["status"] in ("current", "archived")]
        assert [p["id"] for p in pages] == wanted
        for page in pages:
            record = records[page["id"]]
            assert sha256(page["body"]["storage"]["value"].encode()).hexdigest() == record["body_sha256"]
            assert (page["title"], page["version"]["number"], page["parentId"]) == (
                record["title"],
                record["version"],
                record["parent"],
            )
        trashed = follow(client, f"{V2}/spaces/32768/pages?status=trashed")
        assert [p["id"] for p in trashed] == [
            i for i, r in records.items() if r["status"] == "trashed" and r["type"] == "page"
        ]


def test_pages_by_id_come_250_at_a_time(wiki: Simulation) -> None:
    ids = [i for i, r in truth(wiki, brief=True).items() if r["type"] == "page" and r["status"] == "current"]
    with opened(wiki) as client:
        query = urlencode({"id": ",".join(ids[:250]), "limit": 250, "body-format": "storage"})
        assert [p["id"] for p in client.get(f"{V2}/pages?{query}").json()["results"]] == ids[:250]
        assert client.get(f"{V2}/pages?{urlencode({'id': ','.join(ids[:251])})}").status_code == 400
        assert client.get(f"{V2}/pages?limit=251").status_code == 400
        error = client.get(f"{V2}/pages/1").json()["errors"][0]
        assert (error["status"], error["code"]) == (404, "NOT_FOUND")


@pytest.mark.slow
@pytest.mark.parametrize(
    "sort", ["id", "-id", "created-date", "-created-date", "modified-date", "-modified-date", "title"]
)
def test_sorted_listings_lose_nothing_between_pages(wiki: Simulation, sort: str) -> None:
    key = {"id": "id", "created-date": "created_ms", "modified-date": "modified_ms", "title": "title"}[sort.lstrip("-")]
    records = [r for r in wiki.expected() if r["type"] == "page" and r["status"] in ("current", "archived")]
    wanted = sorted(
        records, key=lambda r: (int(r[key]) if key == "id" else r[key], int(r["id"])), reverse=sort.startswith("-")
    )
    with opened(wiki) as client:
        assert [p["id"] for p in follow(client, f"{V2}/pages?limit=70&sort={sort}")] == [r["id"] for r in wanted]


def test_cql_reads_times_in_the_sites_zone_and_counts(wiki: Simulation) -> None:
    records = [r for r in wiki.expected("pages", brief=True) if r["type"] == "page" and r["status"] == "current"]
    spaces = {s["key"]: s for s in wiki.expected("spaces")}
    open_pages = [r for r in records if not spaces[r["space"]]["archived"]]
    moment = sorted(r["modified_ms"] for r in open_pages)[len(open_pages) // 2]
    with opened(wiki) as client:
        site = ZoneInfo(client.get(f"{V1}/settings/systemInfo").json()["defaultTimeZone"])
        profile = ZoneInfo(client.get(f"{V1}/user/current").json()["timeZone"])
        assert site.key != profile.key

        def found(zone: ZoneInfo) -> list[str]:
            wall = datetime.fromtimestamp(moment / 1000, zone).strftime("%Y-%m-%d %H:%M")
            query = urlencode({"cql": f'type = page AND lastmodified >= "{wall}" ORDER BY id', "limit": 50})
            hits = follow_v1(client, f"{V1}/search?{query}")
            assert client.get(f"{V1}/search?{query}").json()["totalSize"] == len(hits)
            return [h["content"]["id"] for h in hits]

        minute = moment // 60_000 * 60_000
        # lastmodified is up to two seconds later than any field says
        sure = {r["id"] for r in open_pages if r["modified_ms"] >= minute}
        maybe = {r["id"] for r in open_pages if r["modified_ms"] >= minute - 2_000}
        assert sure <= set(found(site)) <= maybe
        assert set(found(profile)) != set(found(site))
        wide = urlencode({"cql": "type = page", "includeArchivedSpaces": "true", "limit": 0})
        assert client.get(f"{V1}/search?{wide}").json()["totalSize"] == len(records)


@pytest.mark.parametrize(
    ("cql", "test"),
    [
        ("space = SP000 and type = page", lambda r: r["space"] == "SP000" and r["type"] == "page"),
        ("type in (page, blogpost) and not space = SP000", lambda r: r["space"] != "SP000"),
        (
            "type = blogpost or (type = page and label = runbook)",
            lambda r: r["type"] == "blogpost" or "runbook" in r["labels"],
        ),
        ('type = page and title ~ "ledger"', lambda r: r["type"] == "page" and "ledger" in r["title"].lower()),
    ],
)
def test_cql_finds_what_its_clauses_say(wiki: Simulation, cql: str, test: Any) -> None:
    archived = {s["key"] for s in wiki.expected("spaces") if s["archived"]}
    wanted = [i for i, r in truth(wiki).items() if r["status"] == "current" and r["space"] not in archived and test(r)]
    with opened(wiki) as client:
        hits = follow_v1(client, f"{V1}/content/search?{urlencode({'cql': cql + ' order by id', 'limit': 40})}")
        assert [h["id"] for h in hits] == wanted


def test_cql_finds_comments_and_attachments_and_refuses_nonsense(wiki: Simulation) -> None:
    archived = {s["key"] for s in wiki.expected("spaces") if s["archived"]}
    records = [r for r in wiki.expected() if r["status"] == "current" and r["space"] not in archived]
    with opened(wiki) as client:
        for kind in ("comment", "attachment"):
            hits = follow_v1(client, f"{V1}/content/search?{urlencode({'cql': f'type = {kind}', 'limit': 100})}")
            assert {h["id"] for h in hits} == {x["id"] for r in records for x in r[f"{kind}s"]}
        for cql in ("colour = red", "type = page and", 'lastmodified > "soon"', "type = poem"):
            answer = client.get(f"{V1}/content/search", params={"cql": cql})
            assert answer.status_code == 400
            assert answer.json()["message"].startswith("Could not parse cql")


def test_comments_are_trees_and_attachments_have_bytes(wiki: Simulation) -> None:
    records = truth(wiki)
    page = max((r for r in records.values() if r["type"] == "page"), key=lambda r: len(r["comments"]))
    with opened(wiki) as client:
        got: dict[str, str | None] = {}
        for sort in ("footer", "inline"):
            todo: list[tuple[str, str | None]] = [
                (f"{V2}/pages/{page['id']}/{sort}-comments?limit=10&body-format=storage", None)
            ]
            while todo:
                path, parent = todo.pop()
                for comment in follow(client, path):
                    got[comment["id"]] = parent
                    record = next(c for c in page["comments"] if c["id"] == comment["id"])
                    assert comment["body"]["storage"]["value"] == record["body"]
                    todo.append(
                        (f"{V2}/{sort}-comments/{comment['id']}/children?limit=10&body-format=storage", comment["id"])
                    )
        assert got == {c["id"]: c["parent"] for c in page["comments"]}
        owner, file = next(
            (r, a) for r in records.values() for a in r["attachments"] if r["type"] == "page" and a["size"] > 100
        )
        listed = next(
            a for a in client.get(f"{V2}/pages/{owner['id']}/attachments").json()["results"] if a["id"] == file["id"]
        )
        assert client.get("/wiki" + listed["downloadLink"]).status_code == 401, "the servlet takes no API token"
        path = f"{V1}/content/{owner['id']}/child/attachment/{file['id']}/download"
        redirect = client.get(path)
        assert redirect.status_code == 302
        media = redirect.headers["location"]
        assert client.get(media, headers={"Authorization": "Basic eDp5"}).status_code == 400, "of another host"
        body = client.get(path, follow_redirects=True).content
        assert sha256(body).hexdigest() == file["sha256"]
        part = client.get(path, headers={"Range": "bytes=50-"}, follow_redirects=True)
        assert (part.status_code, part.content) == (206, body[50:])


def test_restrictions_are_inherited_from_the_pages_above(wiki: Simulation, wiki_dc: Simulation) -> None:
    deep = next(r for r in wiki.expected() if r["restrictions"] and r["restrictions"][0]["page"] != r["id"])
    with opened(wiki) as client:
        chain = [e["id"] for e in client.get(f"{V2}/pages/{deep['id']}/ancestors?limit=250").json()["results"]]
        folders = {container["id"] for container in wiki.expected("containers")}
        assert chain == [number for number in deep["ancestors"] if number not in folders], "folders are left out"
        own = []
        for number in [*chain, deep["id"]]:
            answer = client.get(f"{V1}/content/{number}/restriction/byOperation/read")
            if answer.status_code == 200:
                users = [u["accountId"] for u in answer.json()["restrictions"]["user"]["results"]]
                groups = [g["id"] for g in answer.json()["restrictions"]["group"]["results"]]
                if users or groups:
                    own.append((number, {*users, *groups}))
        assert own == [(e["page"], {x["id"] for x in e["readers"]}) for e in deep["restrictions"]]
    with opened(wiki_dc) as client:
        all_above = client.get(f"/rest/api/content/{deep['id']}/restriction/relevantViewRestrictions").json()["results"]
        assert [e["content"]["id"] for e in all_above] == [e["page"] for e in deep["restrictions"]]


def test_deprecated_v1_still_answers_with_warnings_and_is_gone_at_the_gateway(wiki: Simulation) -> None:
    with opened(wiki) as client:
        old = client.get(f"{V1}/content", params={"limit": 3})
        assert (old.status_code, old.headers["deprecation"][:15]) == (200, "Wed, 1 Mar 2023")
        assert old.headers["warning"].startswith("299")
        assert client.get(f"{V1}/content", params={"start": -1}).status_code == 400
        cloud = client.get("/_edge/tenant_info").json()["cloudId"]
        head = {"Authorization": f"Bearer {wiki.token}"}
        assert client.get(f"/ex/confluence/{cloud}/wiki/rest/api/content", headers=head, auth=None).status_code in (
            401,
            410,
        )
        site = httpx.get(f"{wiki.url}/ex/confluence/{cloud}/wiki/rest/api/content", headers=head, trust_env=False)
        assert site.status_code == 410
        assert (
            httpx.get(
                f"{wiki.url}/ex/confluence/{cloud}/wiki/rest/api/search?cql=type=page", headers=head, trust_env=False
            ).status_code
            == 200
        )


def test_bad_credentials_are_403_and_unreadable_ones_401(wiki: Simulation) -> None:
    for path in (f"{V1}/search?cql=type=page", f"{V2}/pages"):
        wrong = httpx.get(wiki.url + path, auth=(wiki.user, "wrong"), trust_env=False)
        assert (wrong.status_code, wrong.json()["statusCode"]) == (403, 403)
    assert (
        httpx.get(f"{wiki.url}{V2}/pages", headers={"Authorization": "Basic ###"}, trust_env=False).status_code == 401
    )


def test_data_center_caps_scans_and_counts_start_short() -> None:
    with (
        simulate("confluence", "dc", pages=400, spaces=1, traps=["undercounted-start=2", "empty-next"]) as sim,
        opened(sim) as client,
    ):
        wanted = [r["id"] for r in sim.expected(brief=True) if r["type"] == "page" and r["status"] == "current"]
        for expand, cap in (("body.storage", 50), ("version", 200), ("", 1000)):
            page = client.get("/rest/api/content", params={"spaceKey": "SP000", "limit": 1000, "expand": expand}).json()
            assert page["limit"] == cap
            assert len(page["results"]) == min(cap, len(wanted))
        first = client.get("/rest/api/content", params={"spaceKey": "SP000", "limit": 50}).json()
        assert "start=48" in first["_links"]["next"]
        last = client.get("/rest/api/content", params={"spaceKey": "SP000", "limit": 1000}).json()
        assert client.get(last["_links"]["next"]).json()["results"] == []
        scanned, path = [], "/rest/api/content/scan?spaceKey=SP000&limit=100"
        while path:
            page = client.get(path).json()
            scanned += [p["id"] for p in page["results"]]
            path = page["_links"].get("next", "")
        assert scanned == wanted


def test_a_cursor_can_repeat_or_expire_or_lead_nowhere() -> None:
    with simulate("confluence", pages=200, spaces=1, traps=["repeated-token=1"]) as sim, opened(sim) as client:
        assert len({p["id"] for p in follow(client, f"{V2}/pages?limit=20", most=12)}) == 40
    with (
        simulate("confluence", pages=60, spaces=1, traps=["empty-next", "expired-token=1"]) as sim,
        opened(sim) as client,
    ):
        path = client.get(f"{V2}/pages?limit=20").json()["_links"]["next"]
        assert client.get(path).status_code == 400
        assert client.get(path).status_code == 200
        last = client.get(f"{V2}/pages?limit=250").json()["_links"]["next"]
        assert client.get(last).json() == {"results": [], "_links": {"base": f"{sim.url}/wiki"}}


def test_storage_can_fail_where_the_view_works() -> None:
    with simulate("confluence", pages=80, spaces=1, traps=["storage-500=1"]) as sim, opened(sim) as client:
        bad = next(r["id"] for r in sim.expected("pages", brief=True) if r["storage_fails"])
        assert client.get(f"{V2}/pages?limit=250&body-format=storage").status_code == 500
        assert client.get(f"{V2}/pages?limit=250").status_code == 200
        assert client.get(f"{V2}/pages/{bad}?body-format=storage").status_code == 500
        page = client.get(f"{V2}/pages/{bad}?body-format=view")
        assert page.json()["body"]["view"]["value"]
        assert client.get(f"{V1}/content/{bad}", params={"expand": "body.view"}).status_code == 200


def test_spaces_fail_and_forbid_alone() -> None:
    with simulate(
        "confluence", pages=200, spaces=6, traps=["failing-space=1", "forbidden-403=1", "permission-404=5"]
    ) as sim:
        with opened(sim) as client:
            answers = {
                s["id"]: client.get(f"{V2}/spaces/{s['id']}/pages").status_code
                for s in client.get(f"{V2}/spaces").json()["results"]
            }
            assert sorted(answers.values()) == [200, 200, 200, 200, 403, 500]
            hidden = next(r for r in sim.expected("all", brief=True) if not r["visible"] and r["space"] == "SP000")
            assert client.get(f"{V2}/pages/{hidden['id']}").status_code == 404


def test_ancestor_restrictions_and_attachments_fail_as_they_do() -> None:
    traps = ["ancestor-restrictions-404", "attachment-errors=1"]
    with simulate("confluence", pages=200, spaces=1, traps=traps) as sim, opened(sim) as client:
        query = {"cql": "type = page", "expand": "ancestors.restrictions.read.restrictions.user"}
        assert client.get(f"{V1}/content/search", params=query).status_code == 404
        page = next(r for r in sim.expected() if r["attachments"] and r["type"] == "page")
        assert client.get(f"{V2}/pages/{page['id']}/attachments").status_code == 400
        file = page["attachments"][0]["id"]
        assert client.get(f"{V1}/content/{page['id']}/child/attachment/{file}/download").status_code == 404


def test_confluence_changes_show_where_they_should() -> None:
    with simulate("confluence", pages=300, spaces=3, frozen=True) as sim, opened(sim) as client:
        before = truth(sim)
        start = sim.now_ms()
        sim.advance_clock(120)
        edited = {str(n) for n in sim.mutate("edit", count=12, seed=1)}
        renamed = {str(n) for n in sim.mutate("rename", count=3, seed=2)}
        after = truth(sim)
        newest = [p["id"] for p in follow(client, f"{V2}/pages?limit=5&sort=-modified-date", most=3)][
            : len(edited | renamed)
        ]
        assert set(newest) == edited | renamed == {i for i, r in after.items() if r["modified_ms"] > start}
        assert all(after[i]["body_sha256"] != before[i]["body_sha256"] for i in edited)
        assert all(after[i]["version"] > before[i]["version"] for i in edited | renamed)
        (trashed,) = sim.mutate("trash", count=1, seed=3)
        assert client.get(f"{V2}/pages/{trashed}").json()["status"] == "trashed"
        assert client.get(f"{V1}/content/search", params={"cql": f"id = {trashed}"}).json()["results"] == []
        (restored,) = sim.mutate("restore", ids=[trashed])
        assert client.get(f"{V2}/pages/{restored}").json()["status"] == "current"
        (purged,) = sim.mutate("purge", count=1, seed=4)
        assert client.get(f"{V2}/pages/{purged}").status_code == 404
        (moved,) = sim.mutate("move", count=1, seed=5)
        assert client.get(f"{V2}/pages/{moved}").json()["spaceId"] != str(32_768 + int(before[str(moved)]["space"][2:]))
        (parted,) = sim.mutate("reparent", count=1, seed=6)
        assert truth(sim)[str(parted)]["modified_ms"] == after[str(parted)]["modified_ms"]
        (hidden,) = sim.mutate("restrict", count=1, seed=7)
        assert client.get(f"{V2}/pages/{hidden}").status_code == 404
        (file_page,) = sim.mutate("attach-version", count=1, seed=8)
        old, new = (r[str(file_page)]["attachments"][0] for r in (before, truth(sim)))
        assert (old["id"], old["version"] + 1) == (new["id"], new["version"])
        assert old["sha256"] != new["sha256"]
        (space,) = sim.mutate("create-space", space="NEW")
        assert client.get(f"{V2}/spaces/{space}").json()["key"] == "NEW"


def test_cql_sees_changes_late_where_the_listing_sees_them_at_once() -> None:
    with (
        simulate("confluence", pages=100, spaces=1, frozen=True, traps=["index-lag=600"]) as sim,
        opened(sim) as client,
    ):
        sim.advance_clock(3600)
        (edited,) = sim.mutate("edit", count=1)
        recent = {"cql": 'type = page and lastmodified > now("-30m")'}
        assert client.get(f"{V2}/pages?limit=1&sort=-modified-date").json()["results"][0]["id"] == str(edited)
        assert client.get(f"{V1}/content/search", params=recent).json()["results"] == []
        sim.advance_clock(601)
        assert [h["id"] for h in client.get(f"{V1}/content/search", params=recent).json()["results"]] == [str(edited)]
