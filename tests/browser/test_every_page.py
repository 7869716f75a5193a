"""Every page of the console on a desk and on a phone: axe-core finds nothing, and nothing is cut off at the side."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.service.access.roles import Role
from ingest_ray.service.access.tokens import create_token
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import run
from tests.browser.conftest import SCREENSHOTS
from tests.browser.visitor import Visitor
from tests.service.workspace import Workspace

pytestmark = pytest.mark.services

AXE = Path(__file__).parents[2] / ".cache" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
SIZES = {"desk": (1440, 900), "phone": (390, 844)}
PAGES = {
    "overview": "/console/",
    "endpoints": "/console/endpoints",
    "units": "/console/endpoint/shop",
    "nothing collected": "/console/endpoint/held",
    "run": "/console/run/{run}",
    "no run": "/console/run/none",
    "unit": "/console/unit?endpoint=shop&unit=numbers-1x1000",
    "no unit": "/console/unit?endpoint=shop&unit=none",
    "runs": "/console/runs",
    "quarantine": "/console/quarantine",
    "quarantine of a unit": "/console/quarantine?endpoint=shop&unit=numbers-1x1000",
    "datasets": "/console/datasets",
    "dataset": "/console/dataset?endpoint=shop&name=numbers-1x1000",
    "sinks": "/console/sinks",
    "tokens": "/console/tokens",
    "audit log": "/console/audit",
    "no page": "/console/nothing",
}


@pytest.fixture(scope="module")
def axe() -> str:
    if AXE.exists():
        return AXE.read_text()
    if os.environ.get("INGEST_REQUIRE_SERVICES") == "1":
        pytest.fail("axe-core is not installed, and INGEST_REQUIRE_SERVICES=1")
    pytest.skip("axe-core is not installed: scripts/install-test-services does it, with npm")


@pytest.fixture(scope="module")
def run_id(site: Workspace) -> str:
    broken = {"id": "broken", "template": "jdbc.sqlite", "config": {"path": str(site.folder / "none" / "none.db")}}
    site.document["endpoints"].append(broken)
    site.document["units"].append(
        {"endpoint": "shop", "unit": "*", "sink": "lake", "enabled": True, "run_mode": "INCREMENTAL"}
        | {"policy": {"cursor": "at"}, "schedule_minutes": 600}
    )
    site.apply()
    collect(site.installation, "shop")
    return run(site.installation, "shop").run_id


@pytest.fixture(scope="module", params=SIZES)
def person(
    request: pytest.FixtureRequest, site: Workspace, run_id: str, address: str, browser: Any
) -> Iterator[Visitor]:
    width, height = SIZES[request.param]
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(30_000)
    token = create_token(site.installation, "ada", Role.ADMIN).token
    visitor = Visitor(context.new_page(), address, token, SCREENSHOTS, f"page-{request.param}")
    visitor.log_in()
    visitor.sees("navigation", "Main")
    yield visitor
    context.close()
    assert visitor.faults == []


def faults_of(page: Any, axe: str) -> list[str]:
    page.evaluate(axe)
    found = page.evaluate("axe.run()")
    return [f"{fault['id']}: {fault['nodes'][0]['html'][:200]}" for fault in found["violations"]]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_clean_and_fits(person: Visitor, axe: str, run_id: str, name: str) -> None:
    page = person.page
    page.goto(person.address + PAGES[name].format(run=run_id))
    page.get_by_role("heading", level=1).wait_for()
    page.wait_for_load_state("networkidle")
    person.shoot(name)
    assert faults_of(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it is cut off at the side"


@pytest.mark.parametrize("name", ["Configure", "Plan", "Verify", "Backfill", "Reconcile", "Run", "Reset"])
def test_a_dialog_of_a_unit_is_clean_and_fits(person: Visitor, axe: str, name: str) -> None:
    page = person.page
    page.goto(f"{person.address}/console/unit?endpoint=shop&unit=numbers-1x1000")
    person.press(f"{name} shop:numbers-1x1000")
    page.get_by_role("dialog").get_by_role("heading").first.wait_for()
    page.wait_for_function("document.getAnimations().every(one => one.playState !== 'running')")
    person.shoot(f"dialog {name}")
    assert faults_of(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it is cut off at the side"


def test_the_login_and_an_error_message_are_clean(person: Visitor, axe: str) -> None:
    page = person.page
    page.goto(f"{person.address}/console/endpoint/broken")
    person.press("Collect metadata")
    person.sees("button", "Close")
    person.shoot("error message")
    page.wait_for_function("document.getAnimations().every(one => one.playState !== 'running')")
    assert faults_of(page, axe) == []
    page.goto(f"{person.address}/login")
    assert faults_of(page, axe) == []


def test_there_is_one_way_back_from_a_page_that_does_not_exist(person: Visitor) -> None:
    answer = person.page.goto(f"{person.address}/console/nothing")
    assert answer.status == 404
    person.page.get_by_role("link", name="To the overview").click()
    person.sees("navigation", "Main")
    assert person.page.request.get(f"{person.address}/console/run/none").status == 404
    assert (
        person.page.request.get(f"{person.address}/nothing", headers={"Accept": "text/html"}).text().count("such page")
    )
    assert person.page.request.get(f"{person.address}/nothing", headers={"Accept": "*/*"}).json() == {
        "detail": "Not Found"
    }
