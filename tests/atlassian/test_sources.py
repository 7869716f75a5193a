"""Each fact of the simulators names its source: every path is in the vendor's files or named here, every trap has a source or says that it is inferred."""

import re
from typing import Any

import pytest

from ingest_ray.simulators.atlassian import simulate
from ingest_ray.simulators.atlassian.server.trap_sources import SOURCES
from ingest_ray.simulators.atlassian.server.traps import TRAPS
from tests.atlassian.conftest import opened
from tests.atlassian.openapi import load

FILES: dict[tuple[str, str], dict[str, str]] = {
    ("jira", "cloud"): {"jira-cloud-v3": "", "jira-agile-1.0": ""},
    ("jira", "dc"): {"jira-dc-10.3": "/rest", "jira-agile-1.0": ""},
    ("confluence", "cloud"): {"confluence-cloud-v2": "/wiki/api/v2", "confluence-cloud-v1": ""},
    ("confluence", "dc"): {"confluence-dc-10.0": ""},
}
OLD_V1 = (
    "https://developer.atlassian.com/cloud/confluence/changelog/#CHANGE-864: removed by document, and still answered"
)
SERVICE_DESK = "https://developer.atlassian.com/cloud/jira/service-desk/rest/"
REDIRECT = "what a redirect or a link in an answer leads to"
# Paths that are in no file, by how they begin.
ELSEWHERE: dict[tuple[str, str], dict[str, str]] = {
    ("jira", "cloud"): {
        "/media/": REDIRECT,
        "/rest/servicedeskapi/": SERVICE_DESK,
        "/rest/api/{api}/search/id": "https://developer.atlassian.com/changelog/#CHANGE-2046: removed, and answered with 410",
    },
    ("jira", "dc"): {"/secure/attachment/": REDIRECT, "/rest/servicedeskapi/": SERVICE_DESK},
    ("confluence", "cloud"): {
        "/wiki/download/attachments/": REDIRECT,
        "/wiki/media/": REDIRECT,
        "/wiki/rest/api/content": OLD_V1,
        "/wiki/rest/api/space": OLD_V1,
    },
    ("confluence", "dc"): {
        "/download/attachments/": REDIRECT,
        "/rest/api/content/{id}/child/page": "the file has child/{type}",
        "/rest/api/content/{id}/restriction": "as on Cloud; the file of Data Center has only its byOperation",
    },
}


def bare(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


@pytest.mark.parametrize(("product", "mode"), FILES)
def test_every_path_is_in_the_vendors_files_or_names_its_source(product: Any, mode: Any) -> None:
    known = {
        (method.upper(), bare(prefix + path))
        for name, prefix in FILES[product, mode].items()
        for path, methods in load(name)["paths"].items()
        for method in methods
    }
    elsewhere, unknown = ELSEWHERE[product, mode], []
    with simulate(product, mode, issues=5, projects=1, pages=5, spaces=1, frozen=True) as sim, opened(sim) as client:
        for method, path in (template.split(" ") for template in sim.endpoints()):
            path = path.replace("{api}", "2" if mode == "dc" else "3")
            if (method, bare(path)) in known:
                continue
            # What only the other deployment has is no endpoint here.
            if client.request(method, re.sub(r"\{[^}]*\}", "1", path)).status_code not in (404, 405):
                unknown.append(path)
    starts = {start.replace("{api}", "3") for start in elsewhere}
    assert [path for path in unknown if not path.startswith(tuple(starts))] == []


def test_every_trap_has_a_source_or_says_that_it_is_inferred_or_disputed() -> None:
    assert SOURCES.keys() == TRAPS.keys()
    for name, source in SOURCES.items():
        assert "https://" in source or source.startswith(("inferred", "disputed", "OpenAPI file")), name
