"""One server and one browser for all tests of the console."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.service.access.roles import Role
from ingest_ray.service.access.tokens import create_token
from tests.browser.visitor import Visitor
from tests.service.workspace import Workspace

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENSHOTS = Path(os.environ.get("INGEST_SCREENSHOTS", Path(__file__).parents[2] / "screenshots"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """An installation with three units: one that succeeds, one that a busy source delays, one that its source refuses at first."""
    workspace = Workspace(tmp_path_factory.mktemp("site"))
    workspace.source |= {"units": ["numbers-1x1000"]}
    held = {
        "units": ["numbers-1x2000"],
        "faults": {"0:1000": ["unavailable:600"]},
        "journal": str(workspace.folder / "held"),
    }
    denied = {"units": ["numbers-1x500"], "faults": {"0:250": ["denied"]}, "journal": str(workspace.folder / "denied")}
    for name, config in (("held", held), ("denied", denied)):
        workspace.document["endpoints"].append({"id": name, "template": "testing.scripted", "config": config})
    workspace.document["units"] = [
        {"endpoint": name, "unit": "*", "sink": "lake", "enabled": True, "run_mode": "INCREMENTAL", "policy": policy}
        for name, policy in (("held", {"cursor": "at"}), ("denied", {"cursor": "at"}))
    ]
    workspace.apply()
    return workspace


@pytest.fixture(scope="module")
def address(site: Workspace) -> Iterator[str]:
    log = site.folder / "serve.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "ingest_ray.cli", "serve", "--port", "0", "--config", str(site.file)],
            stdout=out,
            stderr=out,
            cwd=site.folder,
        )
        try:
            yield _address(server, log)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


def _address(server: "subprocess.Popen[bytes]", log: Path) -> str:
    for _ in range(600):
        found = re.search(r"serving (http://\S+)/console/", log.read_text())
        if found is not None:
            return found.group(1)
        assert server.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(f"the server did not start: {log.read_text()}")


@pytest.fixture(scope="package")  # not longer: a browser leaves an event loop running in its thread
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        if os.environ.get("INGEST_REQUIRE_SERVICES") == "1":
            pytest.fail("Chromium is not installed, and INGEST_REQUIRE_SERVICES=1")
        pytest.skip("Chromium is not installed: as root, scripts/install-test-services does it")
    SCREENSHOTS.mkdir(exist_ok=True)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def admin(site: Workspace, address: str, browser: Any, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    yield from _visitor(site, address, browser, Role.ADMIN, request.node.name)


@pytest.fixture
def viewer(site: Workspace, address: str, browser: Any, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    yield from _visitor(site, address, browser, Role.VIEWER, request.node.name)


def _visitor(site: Workspace, address: str, browser: Any, role: Role, name: str) -> Iterator[Visitor]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(30_000)
    token = create_token(site.installation, f"{role}-person", role).token
    visitor = Visitor(context.new_page(), address, token, SCREENSHOTS, name)
    yield visitor
    visitor.shoot("end")
    context.close()
    assert visitor.faults == []
