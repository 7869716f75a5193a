"""Every path that the simulators serve: its answer fits the vendor's OpenAPI file, and parameters that make no sense are never a 500."""

import re
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from ingest_ray.simulators.atlassian import Simulation
from tests.atlassian.conftest import opened
from tests.atlassian.openapi import load, schema_of, violations
from tests.searches import IS_LONG

PREFIXES = (  # of the simulator's path, the file, and the prefix of the file's path
    ("/rest/agile/1.0/", ("jira-agile-1.0",), "/rest/agile/1.0/"),
    ("/wiki/api/v2/", ("confluence-cloud-v2",), "/"),
    ("/wiki/rest/api/", ("confluence-cloud-v1",), "/wiki/rest/api/"),
)
PRODUCTS = {
    ("jira", "cloud"): ("/rest/api/{api}/", "jira-cloud-v3", "/rest/api/3/"),
    ("jira", "dc"): ("/rest/api/{api}/", "jira-dc-10.3", "/api/2/"),
    ("confluence", "dc"): ("/rest/api/", "confluence-dc-10.0", "/rest/api/"),
}
NOT_DOCUMENTS = ("/media/", "/download", "/secure/", "/attachment/content/")
"""Bytes, or redirects to them."""
NEEDED = {  # parameters without which the answer is a 400
    "/search/jql": "jql=project%20is%20not%20EMPTY",
    "/content/search": "cql=type%3Dpage",
    "/rest/api/search": "cql=type%3Dpage",
    "/search/user": "cql=type%3Duser",
    "/user/assignable/search": "project={project}",
    "/user/assignable/multiProjectSearch": "projectKeys={project}",
    "/user/viewissue/search": "query=.&username=.&issueKey={key}",
    "/user/search": "query=a&username=.",
    "/user/bulk": "accountId={me}",
    "/user/groups": "accountId={me}&username={me}&key={me}",
    "/rest/api/user": "accountId={me}&username={me}",
    "{api}/user": "accountId={me}&username={me}",
    "/group/member": "groupname={group}",
    "{api}/group": "groupname={group}",
    "/mypermissions": "permissions=BROWSE_PROJECTS",
    "/worklog/updated": "since=0",
    "/worklog/deleted": "since=0",
    "/api/label": "name=team-0",
}
JUNK = ("\x00", "-1", "99999999999999999999", "abc", "'\"%", "1e9", "é" * 300, "[]", "../..", "\U0001f600")
COMMON = (
    "limit", "start", "startAt", "maxResults", "cursor", "nextPageToken", "expand", "fields", "sort", "orderBy", "status", "id", "keys", "jql",
    "cql", "body-format", "depth", "since", "version", "query", "accountId", "type", "spaceKey", "space-id", "serialize-ids-as-strings",
)  # fmt: skip


OF_LISTS = (
    "comment",
    "properties",
    "property",
    "remotelink",
    "labels",
    "space-roles",
    "tasks",
    "custom-content",
    "template",
)
"""Lists whose first object is taken."""
CONTRADICTED = {  # schemas that the vendor's own examples, or the product, contradict
    ("jira-agile-1.0", "/rest/agile/1.0/board/{boardId}/configuration"): "the example's location has the project's id, key and name",
    ("jira-dc-10.3", "/api/2/jql/autocompletedata"): "texts, which are the JSON of objects",
}  # fmt: skip


def shaped(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


@lru_cache(maxsize=8)
def templates(name: str) -> dict[str, str]:
    """By the path without its parameters' names: the file's own path."""
    return {shaped(path): path for path in load(name)["paths"]}


def documented(sim: Simulation, path: str) -> tuple[str, str] | None:
    """The file and its path for a path of the simulator; None: the vendor's files have none."""
    places = [*PREFIXES]
    if (sim.product, sim.mode) in PRODUCTS:
        prefix, name, theirs = PRODUCTS[sim.product, sim.mode]
        places.append((prefix, (name,), theirs))
    for prefix, names, theirs in places:
        if path.startswith(prefix):
            for name in names:
                found = templates(name).get(shaped(theirs + path.removeprefix(prefix)))
                if found is not None and "get" in load(name)["paths"][found]:
                    return name, found
    return None


class Sample:
    """Ids of things that exist, by the names and places of the parameters in paths."""

    def __init__(self, sim: Simulation, client: httpx.Client) -> None:
        self.sim, self.client = sim, client
        records = list(sim.expected())
        self.by_name: dict[str, str] = {"api": "3" if sim.mode == "cloud" else "2"}
        if sim.product == "jira":
            record = max(records, key=lambda one: len(one["issue"]["fields"]["worklog"]))
            fields = record["issue"]["fields"]
            files = next(
                one["issue"]["fields"]["attachment"] for one in records if one["issue"]["fields"]["attachment"]
            )
            self.by_name |= {
                "key": record["key"], "project": record["project"], "board": "1", "sprint": "1", "id": "10000", "worklog": fields["worklog"][0]["id"],
                "kind": "software", "role": "10002", "scheme": "10000", "level": "10100", "field": "customfield_10026", "context": "10100", "desk": "1",
                "type": "10000", "attachment": files[0]["id"], "priority": "1", "statuscategory": "2", "customFieldOption": "10050",
                "component": "20000", "version": "30000", "applicationrole": "jira-software", "group": "administrators",
            }  # fmt: skip
            me = client.get(f"/rest/api/{self.by_name['api']}/myself").json()
            self.by_name["me"] = me.get("accountId") or me["name"]
            return
        page = max(
            (one for one in records if one["type"] == "page" and one["status"] == "current"),
            key=lambda one: len(one["comments"]) + len(one["attachments"]),
        )
        post = next(one for one in records if one["type"] == "blogpost" and one["status"] == "current")
        self.by_name |= {
            "id": page["id"], "pages": page["id"], "blogposts": post["id"], "number": "1", "spaces": "32768", "key": page["space"], "type": "page",
            "operation": "read", "attachments": next(f for one in records for f in one["attachments"])["id"], "group": next(sim.expected("groups"))["id"], "name": "users",
        }  # fmt: skip
        me = client.get(f"{'/wiki' if sim.mode == 'cloud' else ''}/rest/api/user/current").json()
        self.by_name["me"] = me.get("accountId") or me.get("username", "admin")
        for kind in ("footer", "inline"):
            found = [c for one in records for c in one["comments"] if c["inline"] == (kind == "inline")]
            self.by_name[f"{kind}-comments"] = found[0]["id"]
        self.by_name["comments"] = self.by_name["footer-comments"]
        for container in sim.expected("containers") if sim.mode == "cloud" else ():
            self.by_name.setdefault(f"{container['kind']}s", container["id"])

    def first_of(self, path: str) -> str | None:
        """The id of the first object of a list."""
        answer = self.client.get(path)
        found = answer.json() if answer.status_code == 200 else {}
        items = (
            found if isinstance(found, list) else found.get("results") or found.get("values") or found.get("keys") or []
        )
        first = items[0] if items else None
        return None if first is None else str(first.get("id") or first.get("key") or first.get("templateId"))

    def path(self, template: str) -> str | None:
        """A path of things that exist; None: there is none of them."""
        made = ""
        parts = template.strip("/").split("/")
        for before, part in zip(["", *parts], parts, strict=False):
            if not part.startswith("{"):
                made += f"/{part}"
                continue
            name = part.strip("{}")
            value = self.by_name.get(before) if name in ("id", "key") else None
            if before in OF_LISTS:
                value = self.first_of(made + ("/page" if before == "template" else ""))
                if value is None:
                    return None
            value = value or self.by_name.get(name)
            if value is None:
                return None
            made += f"/{value}"
        query = next((text for end, text in NEEDED.items() if template.endswith(end)), "")
        return made + (f"?{query.format(**self.by_name)}" if query else "")


def listed(sim: Simulation) -> list[str]:
    found = [endpoint.partition(" ")[2] for endpoint in sim.endpoints() if endpoint.startswith("GET ")]
    return [path for path in found if not any(part in path for part in NOT_DOCUMENTS)]


def faults_of(name: str, template: str, document: Any) -> list[str]:
    """Data Center's file declares many lists by the schema of one item."""
    if name != "jira-dc-10.3":
        return violations(name, "GET", template, document)
    found = violations(name, "GET", template, document)
    if found and isinstance(document, list):
        return [fault for item in document for fault in violations(name, "GET", template, item)]
    if found and isinstance(document, dict) and "notificationSchemeEvents" in document:
        return violations(
            name, "GET", template, document | {"notificationSchemeEvents": document["notificationSchemeEvents"][0]}
        )
    return found


@pytest.fixture(params=["jira", "jira_dc", "wiki", "wiki_dc"])
def site(request: pytest.FixtureRequest) -> Simulation:
    found: Simulation = request.getfixturevalue(request.param)
    return found


LEAST = {("jira", "cloud"): 105, ("jira", "dc"): 75, ("confluence", "cloud"): 110, ("confluence", "dc"): 20}


@pytest.mark.slow
def test_the_answer_of_every_path_fits_the_vendors_file(site: Simulation) -> None:
    checked, faults = 0, dict[str, list[str]]()
    with opened(site) as client:
        sample = Sample(site, client)
        for template in listed(site):
            path, known = sample.path(template), documented(site, template)
            if path is None or known is None or known in CONTRADICTED:
                continue
            answer = client.get(path)
            assert answer.status_code < 500, path
            if answer.status_code != 200:
                continue
            name, theirs = known
            if not schema_of(name, "GET", theirs):
                continue
            checked += 1
            if found := faults_of(name, theirs, answer.json()):
                faults[path] = found[:3]
    assert faults == {}
    assert checked >= LEAST[site.product, site.mode], checked


def assert_refused(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (200, 302, 303, 400, 401, 403, 404, 410, 414), (
        f"{path}: {answer.status_code} {answer.text[:200]}"
    )


@pytest.mark.slow
def test_parameters_that_make_no_sense_are_never_a_500(site: Simulation) -> None:
    """Each path with four parameters of no sense, and with an id of no sense; `faults`: all of them."""
    with opened(site) as client:
        sample, turn = Sample(site, client), 0
        for template in listed(site):
            path = sample.path(template)
            chosen = COMMON if IS_LONG else [COMMON[(turn + step * 7) % len(COMMON)] for step in range(4)]
            for name in chosen if path is not None else ():
                for junk in JUNK if IS_LONG else (JUNK[turn % len(JUNK)],):
                    turn += 1
                    mark = "&" if "?" in path else "?"
                    assert_refused(client, f"{path}{mark}{urlencode({name: junk})}")
            if "{" in template.replace("{api}", ""):
                turn += 1
                bad = template.replace("{api}", sample.by_name["api"])
                bad = re.sub(r"\{\w+\}", quote(JUNK[turn % len(JUNK)], safe=""), bad)
                assert_refused(client, bad)
