"""Parameters of Confluence: the table is that of the OpenAPI file, no value is ignored, and no junk is an error of the server."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_ray.simulators.atlassian.confluence.v2.parameters import NOT_SERVED, Parameter, parameters_by_path
from tests.atlassian.conftest import opened
from tests.atlassian.openapi import load, violations

JUNK = ("junk", "99999999999999999999", "%00,x")


def resolved(spec: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = spec["components"]["schemas"][node["$ref"].rpartition("/")[2]]
    return node


def parameters_of_the_file() -> dict[str, set[Parameter]]:
    spec, found = load("confluence-cloud-v2"), {}
    for path, methods in spec["paths"].items():
        parameters = set()
        for each in methods.get("get", {}).get("parameters", []):
            if each["in"] != "query":
                continue
            schema = resolved(spec, each["schema"])
            is_list = schema.get("type") == "array"
            schema = resolved(spec, schema["items"]) if is_list else schema
            names = [v for v in schema.get("enum", []) if not (each["name"] == "sort" and v.startswith("-"))]
            kind = "|".join(names) or {"integer": "int", "boolean": "bool"}.get(schema["type"], "text")
            parameters.add(Parameter(each["name"], kind, is_list, each.get("required", False)))
        found[re.sub(r"\{[^}]*\}", "{}", path)] = parameters
    return found


def test_the_table_is_that_of_the_openapi_file() -> None:
    of_the_file = {path: parameters for path, parameters in parameters_of_the_file().items() if parameters}
    assert {path: set(parameters) for path, parameters in parameters_by_path().items()} == of_the_file


@pytest.fixture(scope="module")
def site() -> Iterator[Simulation]:
    with simulate("confluence", "cloud", pages=80, spaces=2, frozen=True) as sim:
        yield sim


def served(sim: Simulation) -> list[str]:
    """Paths of v2 with ids of this site."""
    pages = list(sim.expected("pages"))
    page = next(p for p in pages if p["type"] == "page" and p["comments"])
    names = {
        "blogposts": next(p["id"] for p in pages if p["type"] == "blogpost"),
        "attachments": next(p["attachments"][0]["id"] for p in pages if p["attachments"]),
        "spaces": next(iter(sim.expected("spaces")))["id"],
        "footer-comments": next(c["id"] for p in pages for c in p["comments"] if not c["inline"]),
        "inline-comments": next((c["id"] for p in pages for c in p["comments"] if c["inline"]), "0"),
        "comments": page["comments"][0]["id"],
        "custom-content": next(a for p in pages for a in p["apps"]),
        "tasks": next(t["id"] for p in pages for t in p["tasks"]),
        "labels": "500000",
    } | {f"{c['kind']}s": c["id"] for c in sim.expected("containers")}
    paths = []
    for template in sim.endpoints():
        method, path = template.split(" ")
        if method == "GET" and "/api/v2/" in path:
            kind = path.split("/")[4]
            paths.append(re.sub(r"\{[^}]*\}", "1", path.replace("{id}", names.get(kind, page["id"]), 1)))
    return paths


def test_every_answer_fits_the_openapi_file(site: Simulation) -> None:
    """Of every path that is served; with what `include-...` adds."""
    by_shape = {re.sub(r"\{[^}]*\}", "{}", path): path for path in load("confluence-cloud-v2")["paths"]}
    checked, broken = 0, list[str]()
    with opened(site) as client:
        for path in served(site):
            shape = template_of(path)
            if shape not in by_shape:
                continue
            more = {p.name: "true" for p in parameters_by_path().get(shape, ()) if p.name.startswith("include-")}
            more = {name: value for name, value in more.items() if name not in NOT_SERVED}
            answer = client.get(path, params={"type": "ac:com.example.polls:poll", "body-format": "storage", **more})
            if answer.status_code != 200:
                continue
            found = violations("confluence-cloud-v2", "GET", by_shape[shape], answer.json())
            broken += [f"{path}: {each}" for each in found]
            checked += 1
    assert broken == []
    assert checked > 60


def template_of(path: str) -> str:
    return re.sub(r"/[^/]*\d{2,}(?=/|$)|/1(?=/|$)", "/{}", path.removeprefix("/wiki/api/v2"))


def test_a_parameter_with_a_value_that_it_cannot_have_is_refused(site: Simulation) -> None:
    checked = 0
    with opened(site) as client:
        for path in served(site):
            template = template_of(path)
            for parameter in parameters_by_path().get(template, ()):
                if parameter.kind == "text":
                    continue
                answer = client.get(path, params={"type": "ac:com.example.polls:poll", parameter.name: "junk"})
                assert answer.status_code == 400, (path, parameter.name, answer.text[:200])
                checked += 1
    assert checked > 200


@pytest.mark.slow
def test_junk_is_never_an_error_of_the_server(site: Simulation) -> None:
    with opened(site) as client:
        for path in served(site):
            template = template_of(path)
            for parameter in parameters_by_path().get(template, ()):
                for junk in JUNK:
                    answer = client.get(f"{path}?{parameter.name}={junk}")
                    assert answer.status_code < 500, (path, parameter.name, junk)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_junk_in_v1_is_never_an_error_of_the_server(mode: Any) -> None:
    with simulate("confluence", mode, pages=20, spaces=1, frozen=True) as sim, opened(sim) as client:
        for template in sim.endpoints():
            method, path = template.split(" ")
            if method != "GET" or "/api/v2/" in path:
                continue
            for junk in ("junk", "0", "att1", "-1"):
                filled = re.sub(r"\{[^}]*\}", junk, path)
                for query in (
                    "",
                    "?start=x",
                    "?limit=-1",
                    "?cursor=junk",
                    "?cql=junk((",
                    "?expand=,,a.b",
                    "?version=x",
                ):
                    assert client.get(filled + query).status_code < 500, filled + query


def answer(client: httpx.Client, path: str) -> Any:
    found = client.get(f"/wiki/api/v2/{path}")
    assert found.status_code == 200, (path, found.text[:200])
    return found.json()


def test_parameters_are_honoured(site: Simulation) -> None:
    pages = [p for p in site.expected("pages") if p["type"] == "page"]
    old = next(p for p in pages if p["version"] > 2)
    liked = next(p for p in pages if p["likes"] and p["status"] == "current")
    with opened(site) as client:
        first = answer(client, f"pages/{old['id']}?version=1&body-format=storage")
        assert (first["status"], first["version"]["number"]) == ("historical", 1)
        assert first["body"]["storage"]["value"] != old["body"]
        assert client.get(f"/wiki/api/v2/pages/{old['id']}?version=99").status_code == 404
        assert "version" not in answer(client, f"pages/{old['id']}?include-version=false")
        assert answer(client, f"pages/{liked['id']}?include-likes=true")["likes"]["results"]
        assert answer(client, "pages?subtype=live")["results"] == []
        newest = answer(client, "attachments?sort=-created-date")["results"]
        assert [a["createdAt"] for a in newest] == sorted((a["createdAt"] for a in newest), reverse=True)
        kind = newest[0]["mediaType"]
        assert {a["mediaType"] for a in answer(client, f"attachments?mediaType={kind}")["results"]} == {kind}
        done = answer(client, "tasks?status=complete&limit=250")["results"]
        assert done
        assert {task["status"] for task in done} == {"complete"}
        assert client.get("/wiki/api/v2/blogposts?status=archived").status_code == 400
        for name in sorted(NOT_SERVED & {"include-icon"}):
            assert client.get(f"/wiki/api/v2/spaces?{name}=true").status_code == 400


def test_history_latest_is_false_of_old_versions() -> None:
    with simulate("confluence", "dc", pages=30, spaces=1, frozen=True) as sim, opened(sim) as client:
        page = next(p for p in sim.expected("pages", brief=True) if p["version"] > 1 and p["status"] == "current")
        for number, latest in ((1, False), (page["version"], True)):
            path = f"/rest/api/content/{page['id']}?version={number}&status=historical&expand=history,version"
            assert client.get(path).json()["history"]["latest"] is latest
        assert client.get(f"/rest/api/content/{page['id']}/child/folder").status_code == 400
        answer = client.get("/rest/api/user/current")
        assert not [name for name in answer.headers if name.startswith("atl-")]
