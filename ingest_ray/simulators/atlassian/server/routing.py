"""Requests, replies, and the router from a request's path to its endpoint."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs

import msgspec

JSON = "application/json;charset=UTF-8"
PROBLEM = "application/problem+json;charset=UTF-8"
decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Reply:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = JSON


class RequestRefused(Exception):
    """Ends a request with the given answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.status}")
        self.reply = reply


def reply(document: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, encode(document), {k.replace("_", "-"): v for k, v in headers.items()})


def problem(status: int, title: str, detail: str, path: str) -> Reply:
    """A problem document (RFC 7807), which Atlassian's frameworks send where the application was not reached."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail, "instance": path}
    return Reply(status, encode(document), kind=PROBLEM)


@dataclass(slots=True)
class Call:
    """A request with its endpoint's parameters. `site` is the URL that the answer's links start with."""

    method: str
    path: str
    params: dict[str, str]
    raw_query: bytes
    headers: dict[str, str]
    body: bytes
    site: str
    template: str
    gateway: bool = False
    anonymous_reply: bool = False
    _query: dict[str, list[str]] | None = None

    @property
    def query(self) -> dict[str, list[str]]:
        if self._query is None:
            self._query = parse_qs(self.raw_query.decode("latin-1"), keep_blank_values=True)
        return self._query

    def parameter(self, name: str, default: str = "") -> str:
        values = self.query.get(name)
        return values[-1] if values else default

    def parameters(self, *names: str) -> list[str]:
        """All values of a parameter that may be repeated, or hold several values separated by commas."""
        return [part for name in names for value in self.query.get(name, []) for part in value.split(",") if part]

    def integer(self, name: str, default: int) -> int:
        text = self.parameter(name)
        if not text:
            return default
        try:
            return int(text)
        except ValueError:
            detail = f"Failed to convert '{name}' with value: '{text}'"
            raise RequestRefused(problem(400, "Bad Request", detail, self.path)) from None

    def boolean(self, name: str, default: bool = False) -> bool:
        return self.parameter(name, str(default)).lower() == "true"

    def json_body(self) -> dict[str, Any]:
        try:
            document = decode(self.body) if self.body else {}
        except msgspec.DecodeError:
            raise RequestRefused(problem(400, "Bad Request", "Failed to read request", self.path)) from None
        if not isinstance(document, dict):
            raise RequestRefused(problem(400, "Bad Request", "Failed to read request", self.path))
        return document


Endpoint = Callable[[Call], Reply]
F = TypeVar("F", bound=Callable[..., Reply])


def route(*patterns: str) -> Callable[[F], F]:
    """Marks a method as the endpoint of `"GET /path/{name}"` patterns."""

    def mark(function: F) -> F:
        function.__dict__.setdefault("routes", []).extend(patterns)
        return function

    return mark


@dataclass(slots=True)
class _Entry:
    method: str
    parts: tuple[str, ...]
    template: str
    endpoint: Endpoint
    literals: int


class Router:
    """Finds the endpoint of a path; a literal part wins over a `{name}`. `~` stands for the site's context path."""

    def __init__(self, site: object) -> None:
        self._by_length: dict[int, list[_Entry]] = {}
        root: str = getattr(site, "root", "")
        for name in dir(type(site)):
            for pattern in getattr(getattr(type(site), name), "routes", ()):
                method, template = pattern.split(" ")
                self._add(method, template.replace("~", root), getattr(site, name))

    def _add(self, method: str, template: str, endpoint: Endpoint) -> None:
        parts = tuple(template.strip("/").split("/"))
        literals = sum(not p.startswith("{") for p in parts)
        entries = self._by_length.setdefault(len(parts), [])
        entries.append(_Entry(method, parts, f"{method} {template}", endpoint, literals))
        entries.sort(key=lambda e: -e.literals)

    def wrap(self, wrapped: Callable[[str, Endpoint], Endpoint]) -> None:
        """Replaces every endpoint by what the function makes of its pattern and of it."""
        for entries in self._by_length.values():
            for entry in entries:
                entry.endpoint = wrapped(entry.template, entry.endpoint)

    def templates(self) -> list[str]:
        return sorted(e.template for entries in self._by_length.values() for e in entries)

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str], str] | int:
        """The endpoint, its parameters and its pattern; or 404, or 405."""
        parts = path.strip("/").split("/")
        failed = 404
        for entry in self._by_length.get(len(parts), ()):
            params = {}
            for want, have in zip(entry.parts, parts, strict=True):
                if want.startswith("{"):
                    params[want[1:-1]] = have
                elif want != have:
                    break
            else:
                if entry.method == method:
                    return entry.endpoint, params, entry.template
                failed = 405
        return failed
