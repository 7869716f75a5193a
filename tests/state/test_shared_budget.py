"""Two processes of one installation divide the limit of a site, and leave what they learnt of it to later ones."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.http.client import Site
from ingest_ray.http.logins import Auth
from ingest_ray.http.permits import LocalPermits, current, using
from ingest_ray.kv import open_state
from ingest_ray.settings import Settings
from ingest_ray.state.shared_permits import sharing_permits
from ingest_ray.state.site_document import SiteDocument

RATE = 25.0
CHILD = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from ingest_ray.http.client import Client, Site
from ingest_ray.http.logins import Auth
from ingest_ray.settings import Settings
from ingest_ray.state.shared_permits import sharing_permits
settings, url, name, count = Settings.model_validate_json(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4])
with sharing_permits(settings), Client(Site(url, Auth('token'))) as client, ThreadPoolExecutor(8) as threads:
    list(threads.map(lambda number: client.get(f"/{name}", json.loads), range(count)))
"""


@contextmanager
def limited_site() -> Iterator[tuple[str, Counter[str], Counter[str]]]:
    """Yields its address, and the requests that it served and refused, by path."""
    served: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    lock, levels = threading.Lock(), [RATE, time.monotonic()]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with lock:
                now = time.monotonic()
                level = min(RATE, levels[0] + (now - levels[1]) * RATE)
                is_refused = level < 1
                levels[:] = [level if is_refused else level - 1, now]
                (refused if is_refused else served)[self.path] += 1
            self.send_response(429 if is_refused else 200)
            if is_refused:
                self.send_header("retry-after", "1")
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", served, refused
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_two_processes_divide_the_limit_of_a_site(tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path), state_url=f"sqlite:///{tmp_path}/state.db")
    with limited_site() as (url, served, refused):
        command = [sys.executable, "-c", CHILD, settings.model_dump_json(), url]
        children = [subprocess.Popen([*command, name, "120"]) for name in ("one", "other")]
        assert [child.wait(timeout=120) for child in children] == [0, 0]
        assert served == {"/one": 120, "/other": 120}, refused
        # Each refusal stops the process that meets it at once; before the limit is known there are at most a few.
        assert refused.total() <= 40
        (document,) = [SiteDocument.model_validate(value) for _, value, _ in open_state(settings).scan("site::")]
        assert document.holders == ()  # both gave back their shares
        learned = document.classes["rest"].learned
        with sharing_permits(settings):
            permits = current()
            lease = permits.acquire(Site(url, Auth("token")).budget, "rest")
            (state,) = permits.states()
            assert lease.endpoint_class == "rest"
            assert state.rate == round(learned.rate, 3)


def test_a_process_that_takes_permits_has_written_its_share(tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path), state_url=f"sqlite:///{tmp_path}/state.db")
    with sharing_permits(settings):
        current().acquire("held.example", "rest")
        ((_, value, _),) = open_state(settings).scan("site::")
        (holder,) = json.loads(json.dumps(value))["holders"]
        assert holder["shares"]["rest"]["share"] == 1.0
    ((_, value, _),) = open_state(settings).scan("site::")
    assert len(value["holders"]) == 1  # type: ignore[arg-type]  # its request is under way


@pytest.mark.slow
def test_permits_that_a_caller_has_chosen_stay_in_force(tmp_path: Path) -> None:
    settings, chosen = Settings(home=str(tmp_path), state_url=f"sqlite:///{tmp_path}/state.db"), LocalPermits()
    with using(chosen), sharing_permits(settings):
        assert current() is chosen
