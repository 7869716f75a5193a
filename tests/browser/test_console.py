"""The console in a real Chromium: a first-time user gets from the login to a finished run, and a viewer can only read."""

import pytest

from ingest_ray.service.endpoints.collect import collect
from tests.browser.visitor import Visitor
from tests.service.workspace import Workspace

pytestmark = pytest.mark.services

UNIT = "numbers-1x1000"


def test_a_first_time_user_gets_from_the_login_to_a_finished_run(admin: Visitor, site: Workspace) -> None:
    admin.log_in("ingest_wrong")
    admin.sees("alert", "")
    admin.reads("the token is not valid")
    admin.log_in()
    admin.sees("heading", "Endpoints")
    admin.shoot("1-endpoints")
    admin.page.get_by_role("link", name="shop").click()
    admin.reads("Nothing is collected yet")
    admin.shoot("2-empty")
    admin.press("Collect metadata")
    admin.reads("1 unit(s)")
    admin.sees("cell", UNIT)

    admin.press(f"Configure shop:{UNIT}")
    admin.sees("heading", f"Configure {UNIT}")
    admin.page.get_by_role("switch", name="Enabled").click()
    admin.page.get_by_label("Cursor").click()
    admin.page.get_by_role("option", name="at").click()
    admin.page.get_by_label("Run mode").click()
    admin.page.get_by_role("option", name="INCREMENTAL").click()
    admin.shoot("3-configure")
    admin.press(f"Save {UNIT}")
    admin.reads(f"{UNIT} is configured")

    admin.press(f"Plan shop:{UNIT}")
    admin.sees("heading", "4 slices")
    admin.shoot("4-plan")
    admin.press("Close")
    admin.press(f"Run shop:{UNIT}")
    admin.press("Run now")
    admin.sees("heading", f"Run of {UNIT}")
    admin.sees("heading", "What it did")
    admin.reads("1,000 rows committed")
    admin.reads("1,000 read, 1,000 staged, 1,000 committed")
    admin.shoot("5-run")
    assert site.rows(UNIT) == 1000
    admin.page.get_by_role("link", name="shop").click()
    admin.reads("✓ succeeded")


def test_the_error_of_a_failing_unit_is_shown_and_running_again_goes_on(admin: Visitor, site: Workspace) -> None:
    unit = "numbers-1x500"
    admin.log_in()
    admin.open("denied")
    admin.press("Collect metadata")
    admin.press(f"Run denied:{unit}")
    admin.press("Run now")
    admin.sees("heading", "What it did")
    admin.reads("scripted: no grant [E_SOURCE_DENIED]")
    admin.shoot("1-error")
    admin.page.get_by_role("link", name="denied").click()
    admin.reads("✕ failed")
    admin.press(f"Run denied:{unit}")
    admin.press("Run now")
    admin.sees("heading", "What it did")
    admin.reads("✓ succeeded")
    assert site.rows(unit, "denied") == 500


def test_a_run_is_paused_resumed_and_reset(admin: Visitor, site: Workspace) -> None:
    unit = "numbers-1x2000"
    admin.log_in()
    admin.open("held")
    admin.press("Collect metadata")
    admin.press(f"Run held:{unit}")
    admin.press("Run now")
    admin.sees("heading", f"Run of {unit}")
    admin.reads("1,000 rows committed")  # what comes next is held up
    admin.press(f"Pause {unit}")
    admin.press("Pause now")
    admin.sees("heading", "What it did")
    admin.reads("⏸ paused")
    admin.shoot("1-paused")
    admin.page.get_by_role("link", name="held").click()
    admin.reads("⏸ paused")
    admin.press(f"Run held:{unit}")
    admin.press("Run now")
    admin.sees("heading", "What it did")
    admin.reads("✓ succeeded")
    assert site.rows(unit, "held") == 2000
    admin.page.get_by_role("link", name="held").click()
    admin.press(f"Reset held:{unit}")
    admin.shoot("2-confirm")
    admin.press("Cancel")
    admin.press(f"Reset held:{unit}")
    admin.press("Forget the checkpoint")
    admin.reads("forgot 1 segment(s)")
    admin.press(f"Plan held:{unit}")
    admin.sees("heading", "8 slices")


def test_a_viewer_sees_everything_and_can_start_nothing(viewer: Visitor, site: Workspace) -> None:
    collect(site.installation, "denied")
    viewer.log_in()
    viewer.sees("heading", "Endpoints")
    viewer.open("denied")
    viewer.sees("table", "Units of denied")
    assert [name for name in viewer.buttons() if name.partition(" ")[0] in ("Run", "Pause", "Reset", "Configure")] == []
    assert [name for name in viewer.buttons() if "Collect" in name or "Plan" in name] == []
    viewer.page.keyboard.press("Tab")
    assert viewer.page.evaluate("document.activeElement.textContent") == "Skip to content"
    query = 'mutation { startIngestion(endpointId: "denied", unitId: "numbers-1x500") { ok } }'
    answer = viewer.page.request.post(f"{viewer.address}/graphql", data={"query": query})
    assert answer.json()["errors"][0]["extensions"]["code"] == "E_ROLE_FORBIDDEN"
    viewer.page.get_by_role("button", name="Log out").click()
    viewer.sees("button", "Log in")
    viewer.page.goto(f"{viewer.address}/console/endpoint/denied")
    viewer.sees("button", "Log in")
