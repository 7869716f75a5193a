"""Connections of one client: kept, given back whatever came, and used for cookies; and the addresses of its requests."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from urllib3 import exceptions

from ingest_ray.http.client import Auth, Client, Site, Tries
from ingest_ray.http.request import Base, Origin
from ingest_ray.http.transport import Transport, give_back
from ingest_ray.sdk.errors import ConfigError, SourceError
from tests.http.scripted_site import Scripted, serving

ONE_TRY = Tries(failures=1)


@dataclass
class KeepingSite:
    """Keeps its connections, of which it counts the clients' ports. `closes`: it closes each without saying so."""

    closes: bool = False
    cookie: str | None = None
    url: str = ""
    ports: list[int] = field(default_factory=list)
    cookies: list[str | None] = field(default_factory=list)


@contextmanager
def keeping(**more: Any) -> Iterator[KeepingSite]:
    site = KeepingSite(**more)

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.ports.append(self.client_address[1])
            site.cookies.append(self.headers.get("cookie"))
            body = b'{"ok": true}'
            for status in ("102 Processing", "103 Early Hints") if self.path == "/hinted" else ():
                self.wfile.write(f"HTTP/1.1 {status}\r\nlink: </style.css>\r\n\r\n".encode())
            self.send_response(302 if self.path == "/moved" else 200)
            if self.path == "/moved":
                body = b""
                self.send_header("location", "/thing")
            if site.cookie is not None:
                self.send_header("set-cookie", site.cookie)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = site.closes

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def client_of(url: str, **more: Any) -> Client:
    return Client(Site(url, Auth("token", "me"), tries=ONE_TRY, timeout_s=5, **more), connections=1)


def test_requests_in_turn_share_a_connection_also_after_an_empty_body() -> None:
    with keeping() as site, client_of(site.url) as client:
        for path in ("/a", "/moved", "/b"):
            if path == "/moved":
                assert client.part(path, 0, 9).total == 12
            else:
                client.get(path, json.loads)
    assert len(site.ports) == 4
    assert len(set(site.ports)) == 1


def test_a_connection_that_the_server_closed_meanwhile_is_replaced() -> None:
    with keeping(closes=True) as site, client_of(site.url) as client:
        for _ in range(3):
            assert client.get("/a", json.loads) == {"ok": True}
            time.sleep(0.2)  # until the end of the connection has come
    assert len(set(site.ports)) == 3


@pytest.mark.timeout(60)
def test_an_answer_that_is_not_read_to_its_end_gives_its_connection_back() -> None:
    faults = [
        Scripted(headers={"content-encoding": "br"}),
        Scripted(headers={"content-encoding": "gzip, gzip"}),
        Scripted(body=b'"' + b"x" * 2_000_000 + b'"'),
    ]
    with serving(*faults, Scripted()) as site, client_of(site.url, most_body_bytes=10_000) as client:
        for _ in faults:
            with pytest.raises(SourceError):
                client.get("/a", json.loads)
        assert client.get("/a", json.loads) == {"ok": True}, "the only connection is free again"


def test_interim_responses_are_no_answers_and_do_not_shift_the_answers_of_later_requests() -> None:
    with keeping() as site, Transport().open(connections=1) as connections:
        for location in ("hinted", "thing", "hinted", "thing"):
            response = connections.send(Base(site.url).get(location))
            assert (response.status, response.read()) == (200, b'{"ok": true}')
            give_back(response)
        assert len(set(site.ports)) == 1


def test_a_cookie_of_the_site_comes_back_to_it_and_to_no_other() -> None:
    with keeping(cookie="node=7; Path=/") as site, keeping() as other:
        with client_of(site.url) as client:
            client.get("/a", json.loads)
            client.get("/a", json.loads)
        with client_of(other.url) as client:
            client.get("/a", json.loads)
        with client_of(site.url) as client:
            client.get("/a", json.loads)
    assert site.cookies == [None, "node=7", None], "each client has its own"
    assert other.cookies == [None]


def test_parameters_arrive_as_they_were_given() -> None:
    params = {"jql": 'text ~ "a+b&c=ü%" ORDER BY id', "id": "1,2,3", "expand": ["x", "y"], "on": True, "none": None}
    with serving(Scripted()) as site, client_of(f"{site.url}/base/") as client:
        client.get("/rest/thing", json.loads, params)
        client.get("/rest/thing?cursor=a%2Fb%3D&limit=5", json.loads)
    first, second = (urlsplit(path) for _, path, _, _ in site.seen)
    assert first.path == second.path == "/base/rest/thing"
    assert parse_qs(first.query, keep_blank_values=True) == {
        "jql": ['text ~ "a+b&c=ü%" ORDER BY id'],
        "id": ["1,2,3"],
        "expand": ["x", "y"],
        "on": ["true"],
        "none": [""],
    }
    assert second.query == "cursor=a%2Fb%3D&limit=5"


@pytest.mark.parametrize("link", ["https://other.example/rest", "//other.example/rest", "http://[broken/rest"])
def test_a_link_to_another_site_or_to_nothing_is_refused_and_nothing_is_sent(link: str) -> None:
    with serving(Scripted()) as site, client_of(site.url) as client:
        with pytest.raises(SourceError):
            client.get(link, json.loads)
    assert not site.seen


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("https://a.example/x", "https://A.example:443/y", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://a.example:8443", False),
        ("http://[::1]:80/", "http://[::1]/", True),
        ("https://me:secret@a.example", "https://a.example", True),
    ],
)
def test_which_addresses_are_one_site(one: str, other: str, is_same: bool) -> None:
    assert (Origin.of(one) == Origin.of(other)) is is_same
    assert "secret" not in Base(one).get("/x").shown


def test_a_socks_proxy_without_its_package_says_which_one_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)
    monkeypatch.delitem(sys.modules, "urllib3.contrib.socks", raising=False)
    with client_of("https://127.0.0.1:9", transport=Transport(proxy="socks5://me:geheim@127.0.0.1:9")) as client:
        with pytest.raises(ConfigError, match=r"socks5://127\.0\.0\.1") as caught:
            client.get("/a", json.loads)
    assert "urllib3[socks]" in (caught.value.hint or "")


def test_a_request_without_a_free_connection_ends_like_one_without_an_answer() -> None:
    with keeping() as site, Transport(timeout_s=0.2).open(connections=1) as connections:
        held = connections.send(Base(site.url).get("thing"))
        with pytest.raises(exceptions.HTTPError):
            connections.send(Base(site.url).get("thing"))
        give_back(held)
        give_back(connections.send(Base(site.url).get("thing")))
