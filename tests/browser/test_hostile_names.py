"""Names of tables and columns that a source may have, on every page of the console: each is shown, none does anything."""

import json
import sqlite3
from pathlib import Path
from urllib.parse import quote

import pytest

from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.control import start
from ingest_ray.service.units.unit_status import list_statuses
from tests.browser.visitor import Visitor
from tests.service.workspace import Workspace

pytestmark = pytest.mark.services

NAMES = [
    "line\nbreak",
    "tab\tand\rreturn",
    "quotes\"'`",
    'x" onclick="alert(1)" y="',
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\u202eright to left\u2066",
    "\u05d0\u05d1 and العربية",
    "𐍈 four bytes 😀",
    "esc\x1b[31m bell\x07 one\x01",
    "{{ 7*7 }} ${7} %s {0}",
    "back\\slash\\",
    "a" * 180,
    "%2F..%2F../ #?&",
]
UNREADABLE = set("\x1b\x07\x01\u202e\u2066")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A database whose every name is hostile, collected and run once."""
    workspace = Workspace(tmp_path_factory.mktemp("hostile"))
    file = workspace.folder / "odd.db"
    with sqlite3.connect(file) as database:
        for name in NAMES:
            columns = ", ".join(f"{quoted(other)} TEXT" for other in NAMES[:8])
            database.execute(f"CREATE TABLE {quoted(name)} (id INTEGER PRIMARY KEY, {columns})")
            database.execute(f"INSERT INTO {quoted(name)} (id) VALUES (1)")
    database.close()
    workspace.document["endpoints"] = [{"id": "odd", "template": "jdbc.sqlite", "config": {"path": str(file)}}]
    workspace.document["sinks"] = [
        {"id": "lake", "template": "sql", "config": {"url": f"sqlite:///{workspace.folder}/out.db"}}
    ]
    workspace.document["units"] = [{"endpoint": "odd", "unit": "*", "sink": "lake", "enabled": True}]
    workspace.apply()
    collect(workspace.installation, "odd")
    return workspace


def check_nothing_happened(visitor: Visitor) -> None:
    shown = visitor.page.inner_text("body")
    assert not UNREADABLE & set(shown)
    assert visitor.page.locator("img[src=x], [onclick]").count() == 0
    assert visitor.page.evaluate("window.hasAlerted === true") is False


def test_hostile_names_are_text_on_every_page(admin: Visitor, site: Workspace) -> None:
    page = admin.page
    page.add_init_script("window.alert = () => { window.hasAlerted = true }")
    admin.log_in()
    admin.sees("heading", "Endpoints")
    admin.open("odd")
    rows = page.locator("tbody tr")
    admin.reads(f"{len(NAMES)} unit(s)")
    assert rows.count() == len(NAMES)
    check_nothing_happened(admin)
    for n in range(len(NAMES)):
        rows.nth(n).get_by_text("Configure").click()
        admin.sees("heading", "Configure ")
        if n < 3:
            page.get_by_label("Cursor").click()
            page.get_by_role("option").first.wait_for()
            page.keyboard.press("Escape")
        check_nothing_happened(admin)
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("heading", name="Configure ").wait_for(state="detached")
    for n in range(4):
        rows.nth(n).get_by_text("Plan", exact=True).click()
        admin.sees("heading", "Plan of ")
        check_nothing_happened(admin)
        page.get_by_role("button", name="Close").click()
        page.get_by_role("heading", name="Plan of ").wait_for(state="detached")
    rows.nth(0).get_by_text("Reset", exact=True).click()
    admin.sees("heading", "Reset ")
    check_nothing_happened(admin)
    page.get_by_role("button", name="Cancel").click()


def test_runs_and_the_log_of_hostile_units_are_shown(admin: Visitor, site: Workspace) -> None:
    page = admin.page
    page.add_init_script("window.alert = () => { window.hasAlerted = true }")
    admin.log_in()
    admin.sees("heading", "Endpoints")
    started = [
        start(site.installation, status.ref, requested_by="</script>\n\u202e").run_id
        for status in list_statuses(site.installation, "odd")[:4]
    ]
    for run_id in started:
        page.goto(f"{admin.address}/console/run/{run_id}")
        admin.sees("heading", "Run of ")
        admin.sees("heading", "What it did")
        check_nothing_happened(admin)
    mutation = 'mutation($id: ID!) { updateEndpoint(id: $id, patch: {name: "<img src=x onerror=alert(1)>\\n"}) { id } }'
    for endpoint in ("odd", "</script>\n\u202e"):
        page.request.post(
            f"{admin.address}/graphql",
            data=json.dumps({"query": mutation, "variables": {"id": endpoint}}),
            headers={"Content-Type": "application/json"},
        )
    page.goto(f"{admin.address}/console/audit")
    admin.reads("updateEndpoint")
    check_nothing_happened(admin)
    for path in ("", "endpoints", "runs", "quarantine", "datasets", "sinks"):
        page.goto(f"{admin.address}/console/{path}")
        page.get_by_role("heading", level=1).wait_for()
        page.wait_for_load_state("networkidle")
        check_nothing_happened(admin)
    for name in (NAMES[0], NAMES[4], NAMES[6], NAMES[13]):
        for path in (
            "unit?endpoint=odd&unit=",
            "dataset?endpoint=odd&name=",
            "quarantine?endpoint=odd&unit=",
            "runs?endpoint=",
        ):
            page.goto(f"{admin.address}/console/{path}{quote(name, safe='')}")
            page.get_by_role("heading", level=1).wait_for()
            check_nothing_happened(admin)
    for path in ("endpoint", "run"):
        page.goto(f"{admin.address}/console/{path}/{quote(NAMES[4] + NAMES[0], safe='')}")
        check_nothing_happened(admin)
        page.goto(f"{admin.address}/console/{path}/{quote(NAMES[6], safe='')}")
        admin.reads("There is no ")
        check_nothing_happened(admin)


def test_the_files_of_hostile_units_stay_in_the_folder(site: Workspace) -> None:
    outside = [path for path in Path(site.folder).parent.iterdir() if path != site.folder and "escape" in path.name]
    assert outside == []
