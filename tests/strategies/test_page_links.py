"""Links of pages: which lead to the same site, and to what there; and the address that people open."""

import pytest

from ingest_ray.cdm import MapContext
from ingest_ray.sdk.types import Dataset, Endpoint
from ingest_strategies.confluence.link_rows import issue_links, page_links
from ingest_strategies.confluence.links import LinkTarget, target_of
from ingest_strategies.jira.cdm import project
from ingest_strategies.rich_text import Link

SITES = ("https://wiki.example/wiki", "https://api.atlassian.com/ex/confluence/abc")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://wiki.example/wiki/spaces/OPS/pages/4711/Title", LinkTarget(content_id="4711")),
        ("HTTPS://Wiki.Example:443/wiki/spaces/OPS/pages/4711", LinkTarget(content_id="4711")),
        ("/wiki/spaces/OPS/blog/2026/01/02/4711/Title", LinkTarget(content_id="4711")),
        ("/pages/viewpage.action?pageId=4712", LinkTarget(content_id="4712")),
        ("https://wiki.example/wiki/x/ewAB", LinkTarget(content_id="65659")),
        ("/x/VQ0D", LinkTarget(content_id="200021")),
        ("/display/OPS/A+title%21", LinkTarget(space_key="OPS", title="A title!")),
        ("/spaces/~557058:abc-def/pages/4713/T", LinkTarget(content_id="4713")),
        ("/display/~ada.lovelace@example.com/T", LinkTarget(space_key="~ada.lovelace@example.com", title="T")),
        ("/display/~ada.lovelace%40example.com/T", LinkTarget(space_key="~ada.lovelace@example.com", title="T")),
        ("?spaceKey=~557058%3Aabc-def&title=T", LinkTarget(space_key="~557058:abc-def", title="T")),
        ("?spaceKey=OPS&title=B+c", LinkTarget(space_key="OPS", title="B c")),
        ("https://wiki.example/browse/abc-12?focus=1", LinkTarget(issue_key="ABC-12")),
        ("https://wiki.example/jira/software/c/projects/AB/boards/7?selectedIssue=ab-3", LinkTarget(issue_key="AB-3")),
        ("https://wiki.example/projects/AB/issues/AB-4", LinkTarget(issue_key="AB-4")),
        ("https://wiki.example/servicedesk/customer/portal/3/HELP-5", LinkTarget(issue_key="HELP-5")),
        ("https://wiki.example/wiki/home", LinkTarget()),
        ("https://other.example/wiki/spaces/OPS/pages/4711", None),
        ("https://wiki.example:8443/pages/4711", None),
        ("http://[half", None),
        ("https://wiki.example:port/pages/1", None),
        ("mailto:someone@wiki.example", None),
        ("#anchor", None),
        ("", None),
    ],
)
def test_a_link_is_of_the_site_or_not_and_tells_what_it_can(url: str, target: LinkTarget | None) -> None:
    assert target_of(url, SITES) == target


@pytest.mark.parametrize(
    ("own", "used", "url"),
    [
        ("https://jira.example", "https://api.atlassian.com/ex/jira/abc", "https://jira.example/browse/A"),
        ("https://jira.example/jira/", "http://jira.internal:8080", "https://jira.example/jira/browse/A"),
        ("http://localhost:8080", "https://jira.example", "https://jira.example/browse/A"),
        (None, "https://jira.example", "https://jira.example/browse/A"),
        (None, "https://api.atlassian.com/ex/jira/abc", None),
    ],
)
def test_people_open_the_address_that_the_site_has_for_itself(own: str | None, used: str, url: str | None) -> None:
    endpoint = Endpoint(endpoint_id="j", template="jira.http", config={"base_url": used})
    dataset = Dataset(endpoint_id="j", name="jira.projects", kind="project", columns=(), facts={"site_url": own})
    context = MapContext(endpoint, dataset, "acme", lambda index, reason, column: None)
    row = {
        "id": "1",
        "key": "A",
        "name": "A",
        "description": None,
        "project_type": None,
        "archived": None,
        "lead_id": None,
    }
    ((_, document),) = project(row, context)
    assert document["url"] == url


@pytest.mark.parametrize(
    ("parameters", "target", "key"),
    [
        ({"key": "AB-1"}, "cdm:work:item:acme:AB-1", "AB-1"),
        (
            {"server": "System JIRA", "jqlQuery": 'issuekey in ("ab-1", AB-2) and x = y'},
            "cdm:work:item:acme:AB-1",
            "AB-1",
        ),
        ({"server": "Old Jira", "serverId": "77", "key": "AB-1"}, "cdm:work:item:old:AB-1", "AB-1"),
        ({"server": "Unknown", "key": "AB-1"}, None, "AB-1"),
    ],
)
def test_a_macro_links_to_the_issues_that_it_names(parameters: dict[str, str], target: str | None, key: str) -> None:
    config = {"base_url": SITES[0], "jira_sites": {"77": "old", "https://jira.other": "other"}}
    endpoint = Endpoint(endpoint_id="w", template="http.confluence", config=config)
    dataset = Dataset(endpoint_id="w", name="confluence.page", kind="page", columns=())
    context = MapContext(endpoint, dataset, "acme", lambda index, reason, column: None)
    row = {"id": "1", "modified_at": None, "space_key": "S"}
    first = next(issue_links(row, context, [Link("", macro=parameters)]))
    assert (first["to_item_cdm_id"], first["properties"]["issue_key"]) == (target, key)
    (other,) = page_links(row, context, [Link("", url="https://jira.other/browse/XY-9")])
    assert (other["to_item_cdm_id"], other["link_type"]) == ("cdm:work:item:other:XY-9", "external")
