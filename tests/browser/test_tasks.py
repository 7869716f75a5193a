"""What an operator of real tables does in the console: several units at once, quarantine, backfill, comparison, tokens."""

import sqlite3
from pathlib import Path

import pytest

from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import run
from ingest_ray.service.units.configure import find_config
from tests.browser.visitor import Visitor
from tests.service.workspace import Workspace

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two tables, loaded once: `orders` has a row that does not fit, and one column more since; a row of `stock` has gone."""
    workspace = Workspace(tmp_path_factory.mktemp("tasks"))
    file = workspace.folder / "shop.db"
    execute(
        file,
        *(
            f"CREATE TABLE {name} (id integer PRIMARY KEY, amount integer, at timestamp)"
            for name in ("orders", "stock")
        ),
        *(f"INSERT INTO {name} VALUES (1, 5, '2026-01-01'), (2, 6, '2026-01-02')" for name in ("orders", "stock")),
        "INSERT INTO orders VALUES (3, 'n/a', '2026-01-03')",
    )
    workspace.document["endpoints"] = [{"id": "db", "template": "jdbc.sqlite", "config": {"path": str(file)}}]
    workspace.document["units"] = [
        {"endpoint": "db", "unit": "*", "sink": "lake", "enabled": True, "run_mode": "INCREMENTAL"}
        | {"policy": {"cursor": "at"}, "schedule_minutes": 600}
    ]
    workspace.apply()
    collect(workspace.installation, "db")
    run(workspace.installation, "db")
    execute(file, "DELETE FROM stock WHERE id = 2", "ALTER TABLE orders ADD COLUMN place text")
    collect(workspace.installation, "db")
    return workspace


def execute(file: Path, *statements: str) -> None:
    with sqlite3.connect(file) as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def test_rows_in_quarantine_are_shown_replayed_and_discarded(admin: Visitor, site: Workspace) -> None:
    page = admin.page
    admin.log_in()
    page.get_by_role("link", name="Quarantine").click()
    page.get_by_role("link", name="db:orders").click()
    admin.reads("1 row did not fit.")
    admin.reads('"amount": "n/a"')
    admin.press("Replay db:orders")
    admin.press("Replay now")
    admin.sees("heading", "Run of orders")
    admin.sees("heading", "What it did")
    admin.reads("1 quarantined")
    page.get_by_role("link", name="show, replay or discard").click()
    admin.press("Discard db:orders")
    admin.press("Delete the rows")
    admin.reads("No row of this unit is in quarantine.")
    page.get_by_role("link", name="Audit log").click()
    admin.reads("discardQuarantine")
    admin.reads('"task": "replay"')


def test_a_unit_is_compared_with_its_sink_and_repaired(admin: Visitor, site: Workspace) -> None:
    admin.log_in()
    admin.page.goto(f"{admin.address}/console/unit?endpoint=db&unit=stock")
    admin.press("Verify db:stock")
    admin.page.get_by_role("checkbox", name="Repair").click()
    admin.page.get_by_role("checkbox", name="Erase also").click()
    admin.press("Verify now")
    admin.sees("heading", "Run of stock")
    admin.sees("heading", "What it found")
    admin.reads("✓ succeeded")
    admin.reads("2 rows in the sink, 1 row at the source")
    admin.reads("1 row only in the sink")


def test_a_part_is_read_again(admin: Visitor, site: Workspace) -> None:
    admin.log_in()
    admin.page.goto(f"{admin.address}/console/unit?endpoint=db&unit=orders")
    admin.press("Backfill db:orders")
    admin.press("Backfill now")
    admin.reads("a backfill has a bound")
    admin.press("Backfill db:orders")
    admin.page.get_by_label("From (empty").fill("2026-01-02")
    admin.press("Backfill now")
    admin.sees("heading", "What it did")
    admin.reads("backfill, run")


def test_units_are_sorted_found_and_started_together(admin: Visitor, site: Workspace) -> None:
    page = admin.page
    admin.log_in()
    admin.open("db")
    first = page.get_by_role("row").nth(1).get_by_role("link").first
    assert first.inner_text() == "orders"
    page.get_by_role("columnheader", name="unit").get_by_role("button").click()
    page.get_by_role("columnheader", name="unit").get_by_role("button").click()
    page.locator('th[aria-sort="descending"]').wait_for()
    assert first.inner_text() == "stock"
    page.get_by_role("checkbox", name="Select what is shown").click()
    page.get_by_role("button", name="Run 2 selected").click()
    admin.press("Run now")
    admin.reads("2 of 2 units are started")
    page.get_by_role("button", name="Pause 2 selected").click()
    admin.press("Pause now")
    admin.reads("2 of 2 units had a run or a schedule, and are paused")
    page.get_by_label("Search units").fill("sto")
    admin.reads("1 unit(s)")


def test_a_policy_is_a_form_that_warns_before_the_file_loses_the_unit(admin: Visitor, site: Workspace) -> None:
    admin.log_in()
    page = admin.page
    page.goto(f"{admin.address}/console/unit?endpoint=db&unit=stock")
    admin.press("Configure db:stock")
    admin.reads("A rule of ingest.yaml configures this unit.")
    admin.reads("What is read again below the watermark")
    page.get_by_label("Lookback").fill("soon")
    admin.press("Save stock")
    admin.reads("policy.lookback: 'soon'")
    page.get_by_label("Lookback").fill("36h")
    page.get_by_text("Checks", exact=True).click()
    page.get_by_label("Fresh within").fill("1d")
    page.get_by_text("Writing", exact=True).click()
    page.get_by_label("Mask").fill("amount: redact\n")
    admin.press("Save stock")
    admin.reads("stock is configured")
    stored = find_config(site.installation, UnitRef("db", "stock"))
    assert stored is not None
    policy = stored.config.policy.model_dump(exclude_defaults=True)
    assert policy == {"cursor": "at", "lookback": 36 * 3600, "fresh_within": 86_400, "mask": {"amount": "redact"}}
    admin.press("Configure db:stock")
    admin.reads("This unit was configured by hand")
    assert page.get_by_label("Lookback").input_value() == "36h"


def test_the_history_of_a_schema_is_shown(admin: Visitor, site: Workspace) -> None:
    admin.log_in()
    admin.page.get_by_role("link", name="Datasets").click()
    admin.page.get_by_role("link", name="db:orders").click()
    admin.sees("heading", "History of the schema")
    admin.reads("+ place")


def test_a_token_is_made_shown_once_and_revoked(admin: Visitor, viewer: Visitor, site: Workspace) -> None:
    admin.log_in()
    admin.page.get_by_role("link", name="Tokens").click()
    admin.press("New token")
    admin.page.get_by_label("Whose it is").fill("night shift")
    admin.press("Make it")
    secret = admin.page.locator(".secret")
    secret.wait_for()
    token = secret.inner_text()
    viewer.log_in(token)
    viewer.reads("night shift (viewer)")
    assert viewer.page.get_by_role("link", name="Tokens").count() == 0
    viewer.page.goto(f"{viewer.address}/console/tokens")
    viewer.reads("Only an admin of all endpoints may see them.")
    admin.page.get_by_role("button", name="of night shift").click()
    admin.press("Revoke")
    admin.reads("is revoked")
    viewer.page.goto(f"{viewer.address}/console/runs")
    viewer.sees("button", "Log in")
    admin.page.reload()
    admin.reads("night shift")
    assert token not in admin.page.content()
