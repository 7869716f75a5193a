"""Every path that the strategy requests is in Atlassian's OpenAPI files and is not deprecated; every value of their enums is known."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from ingest_ray.simulators.atlassian import simulate
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.suites.strategy import KnownUnit
from ingest_strategies.atlassian.readers import AclUnknown
from ingest_strategies.jira import http
from ingest_strategies.jira.reading.acl import Holder, Issue, IssueAcls, IssueFields, ProjectHead
from ingest_strategies.jira.tables import TABLES
from tests.atlassian.openapi import load
from tests.strategies.jira.site import endpoint_of

ROOT = Path(__file__).parents[3]
SPECS = {"cloud": ("jira-cloud-v3", "jira-agile-1.0"), "dc": ("jira-dc-10.3",)}
ELSEWHERE = {
    "/rest/servicedeskapi/": "https://developer.atlassian.com/cloud/jira/service-desk/rest/",
    "/secure/attachment/": "the servlet of Data Center: `content` of attachments",
    "/media/": "the media host, where attachment/content redirects",
}
HOLDERS = {
    "anyone", "applicationRole", "assignee", "group", "groupCustomField", "projectLead", "projectRole", "reporter",
    "sd.customer.portal.only", "user", "userCustomField",
}  # fmt: skip


def bare(path: str) -> str:
    """Without the names of parameters, the version of the API and the base of the file."""
    path = re.sub(r"\{\w+\}", "{}", path.replace("{api}", "3"))
    return re.sub(r"^/rest(?=/)", "", re.sub(r"/api/[23]/", "/api/", path))


def operations(mode: str) -> dict[tuple[str, str], bool]:
    """(method, path) -> whether it is deprecated."""
    return {
        (method.upper(), bare(path)): bool(operation.get("deprecated"))
        for name in SPECS[mode]
        for path, methods in load(name)["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, dict)
    }


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_every_path_is_in_the_vendors_files_and_not_deprecated(mode: Any, tmp_path: Path) -> None:
    known = operations(mode)
    with simulate("jira", mode, issues=40, projects=4, traps=["service-desks", "random-access"], frozen=True) as sim:
        endpoint = endpoint_of(sim, acl="required", objects_uri=str(tmp_path / "objects"))
        assert http.test(endpoint).ok
        for name, table in TABLES.items():
            if table.is_unit:
                Rehearsal(http, KnownUnit(http, endpoint, name, rows=[]).spec()).run()
        requested = {tuple(name.split(" ", 1)) for name in sim.stats()["endpoints"]}
    assert len(requested) > 25
    for method, path in requested:
        if path.startswith(tuple(ELSEWHERE)):
            continue
        assert (method, bare(path)) in known, f"{method} {path}"
        assert not known[method, bare(path)], f"{method} {path} is deprecated"


def expanded(kind: str, parameter: str = "") -> frozenset[str]:
    fields = IssueFields(project=ProjectHead(id="1", key="A"))
    unreached: Any = None
    acls = IssueAcls(unreached)
    acls._roles["1/7"] = acls._applications["x"] = frozenset({"group:g"})
    acls._leads["1"] = None
    body = Raw(b'{"fields":{"customfield_1":null}}')
    return acls._expand((Holder(type=kind, parameter=parameter),), Issue(id="1", fields=fields), body)


def test_every_type_of_holder_is_known_and_others_are_refused_by_name() -> None:
    text = json.dumps(
        load("jira-cloud-v3")["paths"]["/rest/api/3/permissionscheme"] | {"tags": load("jira-cloud-v3")["tags"]}
    )
    documented = set(re.findall(r"\* +`([\w.]+)` (?:Grant|Jira Service Desk only)", text))
    assert documented == HOLDERS
    parameters = {
        "projectRole": "7",
        "applicationRole": "x",
        "userCustomField": "customfield_1",
        "groupCustomField": "customfield_1",
    }
    for kind in HOLDERS:
        expanded(kind, parameters.get(kind, "x"))
    with pytest.raises(AclUnknown, match=r"'something\.new' is an unknown type of holder"):
        expanded("something.new")


def test_every_value_of_the_vendors_enums_is_one_that_the_strategy_knows() -> None:
    schemas = load("jira-cloud-v3")["components"]["schemas"]
    assert set(schemas["Visibility"]["properties"]["type"]["enum"]) == {"group", "role"}
    actors = {"atlassian-group-role-actor", "atlassian-user-role-actor"}
    assert set(schemas["RoleActor"]["properties"]["type"]["enum"]) == actors
    assert set(schemas["Project"]["properties"]["projectTypeKey"]["enum"]) == {"software", "service_desk", "business"}


def test_every_area_of_the_simulated_jira_names_its_sources() -> None:
    folder = ROOT / "ingest_ray" / "simulators" / "atlassian" / "jira"
    for path in (
        folder / "access.py",
        *(folder / "endpoints").glob("[ailr]*_endpoints.py"),
        folder / "endpoints" / "issue_parts.py",
    ):
        assert "https://" in path.read_text(), path.name
