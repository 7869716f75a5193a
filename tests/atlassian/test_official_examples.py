"""Atlassian's own example answers have no key, and no type, that the simulator's answers lack."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.simulators.atlassian import Simulation
from tests.atlassian.conftest import opened

EXAMPLES = Path(__file__).parents[2] / ".." / "shared" / "specs" / "official-examples.jsonl.gz"

# Keys of examples that are optional, that belong to features which are not simulated, or that only the examples have.
OPTIONAL = {
    "projectCategory", "insight", "retentionTillDate", "deleted", "deletedBy", "deletedDate", "archivedBy", "nextPage", "visibility",
    "emailAddress", "key", "name", "description", "lastUsed", "stableId", "searcherKey", "screensCount", "contextsCount", "projectsCount",
    "isLocked", "displayUrl", "displayUrlConfluence", "displayUrlServicedeskHelpCenter", "scope", "entityId", "hierarchyLevel", "schemes",
    "isDefault", "thumbnail", "accountType", "avatarUrls", "timeZone", "nextPageToken", "uuid", "avatarId", "iconUrl", "properties",
    "favourite", "email", "url", "projectTypeKey", "avatarUrl", "scmInfo", "schema", "configuration", "subtask", "items", "translatedName",
    "admin", "currentUserRole", "default", "roleConfigurable", "projectKeys", "issueTypeHierarchy", "landingPageInfo", "permissions",
}  # fmt: skip
# Values that examples write as another type than answers have.
LOOSE = {"id", "fields", "changeHistories", "startAt", "maxResults", "iconUrl", "sub-tasks", "self"}


def examples(path: str, method: str) -> list[Any]:
    if not EXAMPLES.exists():
        pytest.skip("Atlassian's example answers are not beside the project")
    with gzip.open(EXAMPLES, "rt") as lines:
        found = [json.loads(line) for line in lines]
    chosen = [e["example"] for e in found if e["path"] == path and e["method"] == method and str(e["status"]) == "200"]
    assert chosen, f"there is no example of {method} {path}"
    return chosen


def kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def missing(example: Any, ours: list[Any], where: str) -> list[str]:
    """Keys and types of an example that none of our values at the same place has."""
    found = []
    ours = [o for o in ours if o is not None]
    if isinstance(example, dict):
        have = [o for o in ours if isinstance(o, dict)]
        for key, value in example.items():
            theirs = [o[key] for o in have if key in o]
            if not theirs and key not in OPTIONAL and have:
                found.append(f"{where}.{key} is missing")
            elif key not in LOOSE and value is not None and theirs:
                found += missing(value, theirs, f"{where}.{key}")
    elif isinstance(example, list):
        inner = [item for o in ours if isinstance(o, list) for item in o]
        if ours and not any(isinstance(o, list) for o in ours):
            found.append(f"{where} is no list")
        for item in example:
            found += missing(item, inner, f"{where}[]")
    elif example is not None and ours and kind(example) not in {kind(o) for o in ours}:
        found.append(f"{where} is {kind(ours[0])}, not {kind(example)}")
    return found


def test_official_examples_keep_their_shape(jira: Simulation) -> None:
    records = list(jira.expected("issues"))
    busy = max(records, key=lambda r: len(r["issue"]["fields"]["comment"]) + 5 * len(r["issue"]["fields"]["worklog"]))
    key, project = busy["key"], busy["project"]
    file = next(r for r in records if r["issue"]["fields"]["attachment"])["issue"]["fields"]["attachment"][0]["id"]
    logs = [int(w["id"]) for r in records for w in r["issue"]["fields"]["worklog"]][:5]
    comments = [int(c["id"]) for r in records for c in r["issue"]["fields"]["comment"]][:5]
    with opened(jira) as client:
        me = client.get("/rest/api/3/myself").json()["accountId"]
        group = client.get("/rest/api/3/group/bulk").json()["values"][1]["groupId"]
        calls: list[tuple[str, str, str, Any]] = [
            ("GET", "search/jql", f"search/jql?jql=project={project}&fields=*all", None),
            ("POST", "search/jql", "search/jql", {"jql": f"project={project}", "fields": ["*all"]}),
            ("POST", "search/approximate-count", "search/approximate-count", {"jql": f"project={project}"}),
            ("POST", "issue/bulkfetch", "issue/bulkfetch", {"issueIdsOrKeys": [key], "fields": ["*all"]}),
            ("GET", "issue/{issueIdOrKey}/changelog", f"issue/{key}/changelog", None),
            ("POST", "changelog/bulkfetch", "changelog/bulkfetch", {"issueIdsOrKeys": [key]}),
            ("GET", "issue/{issueIdOrKey}/comment", f"issue/{key}/comment", None),
            ("GET", "issue/{issueIdOrKey}/worklog", f"issue/{key}/worklog", None),
            ("POST", "comment/list", "comment/list", {"ids": comments}),
            ("POST", "worklog/list", "worklog/list", {"ids": logs}),
            ("GET", "worklog/updated", "worklog/updated?since=0", None),
            ("GET", "worklog/deleted", "worklog/deleted?since=0", None),
            ("GET", "project/search", "project/search?expand=lead,description,insight", None),
            ("GET", "myself", "myself", None),
            ("GET", "serverInfo", "serverInfo", None),
            ("GET", "field", "field", None),
            ("GET", "field/search", "field/search", None),
            ("GET", "users/search", "users/search", None),
            ("GET", "user", f"user?accountId={me}", None),
            ("GET", "user/bulk", f"user/bulk?accountId={me}", None),
            ("GET", "group/bulk", "group/bulk", None),
            ("GET", "group/member", f"group/member?groupId={group}", None),
            ("GET", "attachment/{id}", f"attachment/{file}", None),
            ("GET", "status", "status", None),
        ]
        for method, template, path, body in calls:
            ours = client.request(method, f"/rest/api/3/{path}", json=body).json()
            for example in examples(f"/rest/api/3/{template}", method):
                optional_next = [m for m in missing(example, [ours], "") if m != ".nextPage is missing"]
                assert optional_next == [], f"{method} {template}"


def test_a_missing_key_would_be_noticed() -> None:
    assert missing({"a": 1, "b": [{"c": "x"}]}, [{"a": 1, "b": [{"d": "x"}]}], "") == [".b[].c is missing"]
    assert missing({"a": 1}, [{"a": "1"}], "") == [".a is str, not number"]
