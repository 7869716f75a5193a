"""A proxy between a client and a site that damages some answers, aware of their structure."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "date", "server"}


def deep(levels: int = 3000) -> Any:
    return Verbatim("[" * levels + "]" * levels)


class Verbatim(str):
    """Text that is inserted into the answer unchanged."""


BAD_VALUES: list[Any] = [
    None,
    True,
    -1,
    0.5,
    10**400,
    1e308,
    "",
    "no",
    "\x00",
    "\ud800",
    [],
    {},
    [None],
    {"a": {"b": []}},
    Verbatim("1e999"),
    Verbatim("NaN"),
]


@dataclass
class Damage:
    """`share` of the answers are damaged, until `left` of them are."""

    random: Random
    share: float
    left: int
    done: list[str] = field(default_factory=list)

    def of(self, path: str, body: bytes) -> bytes:
        if self.left <= 0 or not body or self.random.random() >= self.share:
            return body
        self.left -= 1
        how = self.random.choice(
            ["value", "value", "value", "missing", "missing", "bytes", "cut", "deep", "nul", "html"]
        )
        self.done.append(f"{how} in {path[:80]}")
        if how in ("value", "missing", "deep"):
            return self._structured(how, body)
        index = self.random.randrange(len(body))
        match how:
            case "bytes":
                return body[:index] + b"\xff\xfe" + body[index + 2 :]
            case "cut":
                return body[:index]
            case "nul":
                return body[:index] + b"\x00" + body[index:]
            case _:
                return b"<html>502 Bad Gateway</html>"

    def _structured(self, how: str, body: bytes) -> bytes:
        document = json.loads(body)
        members = list(members_of(document))
        if not members:
            return b"[]" if isinstance(document, dict) else b"{}"
        owner, key = self.random.choice(members)
        self.done[-1] += f" at {key!r}"
        marks: dict[str, str] = {}
        if how == "missing" and isinstance(owner, dict):
            del owner[key]
        else:
            value = deep() if how == "deep" else self.random.choice(BAD_VALUES)
            if isinstance(value, Verbatim):
                marks["@verbatim@"] = value
                value = "@verbatim@"
            owner[key] = value
        text = json.dumps(document)
        for mark, value in marks.items():
            text = text.replace(f'"{mark}"', value)
        return text.encode()


def members_of(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every member of every object; of lists only the content of their members: one element less is no damage, but another answer."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield document, key
            yield from members_of(value)
    elif isinstance(document, list):
        for value in document[:20]:
            yield from members_of(value)


@contextmanager
def damaging(site: str, damage: Damage) -> Iterator[str]:
    lock = threading.Lock()

    class DamagingProxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0)) or None
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in (*HOP, "accept-encoding")
            }
            request = urllib.request.Request(site + self.path, body, headers, method=self.command)
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    status, got, content = answer.status, answer.headers, answer.read()
            except urllib.error.HTTPError as error:
                with error:
                    status, got, content = error.code, error.headers, error.read()
            with lock:
                content = damage.of(self.path, content) if status == 200 else content
            self.send_response(status)
            for name, value in got.items():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), DamagingProxy)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()
