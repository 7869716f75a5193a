"""A request: its address, headers and body. Pure; addresses are put together as text, because many of them have hundreds of ids."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

Params = Mapping[str, Any]
"""Query parameters; a list repeats its parameter."""
PORTS = {"http": 80, "https": 443}
_UNQUOTED = ","  # of lists of ids: https://www.rfc-editor.org/rfc/rfc3986#section-3.4 allows it in a query


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port, in one spelling. `port`: None for the scheme's own."""

    scheme: str
    host: str
    port: int | None

    @classmethod
    def of(cls, url: str) -> "Origin":
        """Raises `ValueError` for a URL without a host, or with a port that is none."""
        parts = urlsplit(url)
        if not parts.hostname:
            raise ValueError(f"'{parts.scheme}://{parts.netloc.rpartition('@')[2]}' names no host")
        port = None if parts.port == PORTS.get(parts.scheme) else parts.port
        return cls(parts.scheme, parts.hostname, port)

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @cached_property
    def url(self) -> str:
        return f"{self.scheme}://{self.netloc}"


@dataclass
class Request:
    """`raw_path` and `query` as they are sent."""

    method: str
    origin: Origin
    raw_path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None

    @property
    def path(self) -> str:
        return unquote(self.raw_path)

    @property
    def target(self) -> str:
        return f"{self.raw_path}?{self.query}" if self.query else self.raw_path

    @property
    def url(self) -> str:
        return f"{self.origin.url}{self.target}"

    @property
    def shown(self) -> str:
        """For errors: without what may be secret."""
        return f"{self.method} {self.origin.url}{self.raw_path}"

    @cached_property
    def params(self) -> dict[str, str]:
        """The first value of each parameter of the query."""
        found: dict[str, str] = {}
        for name, value in parse_qsl(self.query, keep_blank_values=True):
            found.setdefault(name, value)
        return found


@dataclass(frozen=True)
class Base:
    """What the addresses and headers of a client's requests begin with."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def origin(self) -> Origin:
        return Origin.of(self.url)

    @cached_property
    def path(self) -> str:
        """Without a slash at its end."""
        return urlsplit(self.url).path.rstrip("/")

    def get(self, location: str, params: Params | None = None, headers: Mapping[str, str] | None = None) -> Request:
        """`location`: a path below the base, or a URL. `params` take the place of its query."""
        return self._request("GET", location, params, {**self.headers, **(headers or {})})

    def post_json(self, location: str, document: Mapping[str, Any]) -> Request:
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        return self._request("POST", location, None, {**self.headers, "Content-Type": "application/json"}, body)

    def post_form(self, location: str, fields: Mapping[str, str]) -> Request:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._request("POST", location, None, {**self.headers, **kind}, urlencode(fields).encode())

    def _request(
        self, method: str, location: str, params: Params | None, headers: dict[str, str], body: bytes | None = None
    ) -> Request:
        parts = urlsplit(location)
        if parts.scheme or parts.netloc:
            origin = Origin.of(location if parts.scheme else f"{self.origin.scheme}:{location}")
            path = parts.path or "/"
        else:
            origin, path = self.origin, f"{self.path}/{parts.path.lstrip('/')}"
        return Request(method, origin, path, parts.query if params is None else encoded(params), headers, body)


def encoded(params: Params) -> str:
    return urlencode(list(_pairs(params)), safe=_UNQUOTED)


def _pairs(params: Params) -> Iterable[tuple[str, str]]:
    for name, value in params.items():
        for one in value if isinstance(value, list | tuple) else (value,):
            yield name, str(one).lower() if isinstance(one, bool) else "" if one is None else str(one)
