"""Sends requests to one site: with its login, under its throttle, retried where that is safe, and with checked responses.

All methods may be called by several threads at once. Only this module imports httpx.
"""

import base64
import json
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import certifi
import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from ingest_ray import logs
from ingest_ray.http import permits, rate_limit_headers
from ingest_ray.http.errors import BrokenAnswer, LoginPage, NoAnswer, Refused
from ingest_ray.http.permits import Lease, Permits
from ingest_ray.http.rate_limit_headers import Signal
from ingest_ray.http.responses import Answer, Part, checked, part_of
from ingest_ray.sdk.errors import ConfigError, IngestError, SourceError, SourceUnavailable

log = logging.getLogger(__name__)
T = TypeVar("T")
Params = Mapping[str, Any]
"""Query parameters; a list repeats its parameter."""
REST = "rest"
"""The endpoint class of all JSON requests. They share one budget: no site is known to allow less to all of its endpoints together
than to one of them, and Data Center counts per user."""


MOST_REDIRECTS = 5


@dataclass(frozen=True)
class Auth:
    """Exactly one of `user` with `token` (basic), or `token` alone (bearer: a PAT or an OAuth access token)."""

    token: str
    user: str | None = None

    def __repr__(self) -> str:
        return f"Auth({'basic' if self.user else 'bearer'})"


@dataclass(frozen=True)
class Tries:
    """How often a request is sent. Refusals (429) are waited out by the throttle and have a larger limit of their own."""

    failures: int = 6
    refusals: int = 12
    first_wait_s: float = 0.5
    most_wait_s: float = 30.0


ONCE = Tries(failures=1)


@dataclass(frozen=True)
class Site:
    base_url: str
    auth: Auth
    timeout_s: float = 60.0
    verify: bool | str = True
    tries: Tries = Tries()
    most_body_bytes: int = 256 * 1024 * 1024

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).netloc


@cache
def trust(verify: bool | str) -> ssl.SSLContext | bool:
    """The TLS context, one per process: reading all certificates takes 20 ms, and every slice opens a client."""
    if verify is False:
        return False
    return ssl.create_default_context(cafile=certifi.where() if verify is True else verify)


def same_site(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.netloc) == (other.scheme, other.netloc)


class Client:
    """A context manager, open while it is entered. `connections`: the number of concurrent requests."""

    def __init__(self, site: Site, connections: int = 8) -> None:
        self.site = site
        self._permits: Permits = permits.current()
        self._other: httpx.Client | None = None
        auth: httpx.Auth | None = None
        headers = {"accept": "application/json", "user-agent": "ingest_ray"}
        logs.hide(site.auth.token)
        if site.auth.user is not None:
            logs.hide(base64.b64encode(f"{site.auth.user}:{site.auth.token}".encode()).decode())
            auth = httpx.BasicAuth(site.auth.user, site.auth.token)
        else:
            if not (site.auth.token.isascii() and site.auth.token.isprintable()):
                raise ConfigError(
                    "the bearer token has characters that no HTTP header can carry", hint="check the field 'token'"
                )
            headers["authorization"] = f"Bearer {site.auth.token}"
        self._http = httpx.Client(
            base_url=site.base_url.rstrip("/"),
            auth=auth,
            headers=headers,
            timeout=httpx.Timeout(site.timeout_s, connect=min(15.0, site.timeout_s), pool=None),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            verify=trust(site.verify),
            follow_redirects=False,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()
        if self._other is not None:
            self._other.close()

    def get(
        self,
        path: str,
        decode: Callable[[bytes], T],
        params: Params | None = None,
        tries: Tries | None = None,
    ) -> T:
        """The decoded body of a GET."""
        return self.fetch(self._http.build_request("GET", path, params=params), decode, tries)[0]

    def ask(
        self, path: str, decode: Callable[[bytes], T], document: Mapping[str, Any], tries: Tries | None = None
    ) -> T:
        """The decoded body of a POST that only queries: as safe to repeat as a GET."""
        return self.fetch(self._http.build_request("POST", path, json=document), decode, tries)[0]

    def answer(self, path: str, params: Mapping[str, str | int] | None = None, tries: Tries | None = None) -> Answer:
        """The whole response, with its headers."""
        return self.fetch(self._http.build_request("GET", path, params=params), json.loads, tries)[1]

    def fetch(
        self, request: httpx.Request, decode: Callable[[bytes], T], tries: Tries | None = None
    ) -> tuple[T, Answer]:
        """Sends the request until a complete, checked and decoded response arrives, or retrying is useless.

        Raises:
            SourceDenied, SourceError, EndpointGone: at once; a retry would have the same result.
            SourceUnavailable: after all attempts; `retry_after_s` is the last value of the server.
        """
        return self._persisting(tries)(self._once, request, decode)

    def part(self, path: str, first: int, last: int, media_type: str | None = None) -> Part:
        """The bytes `first` to `last`, both inclusive, of a file. Redirects are followed; credentials go to the site only.

        `media_type`: the type of the file. An HTML page in its place means a lost login.

        Raises as `fetch` does.
        """
        return self._persisting(None)(self._part, path, first, last, media_type)

    def _part(self, path: str, first: int, last: int, media_type: str | None) -> Part:
        where = {"range": f"bytes={first}-{last}", "accept": "*/*", "accept-encoding": "identity"}
        request, http = self._http.build_request("GET", path, headers=where), self._http
        for _ in range(MOST_REDIRECTS):
            url = f"GET {request.url.copy_with(query=None, userinfo=None)}"
            answer = self._sent(request, url, self._permits.acquire(request.url.netloc.decode(), REST), http)
            target = answer.headers.get("location")
            if not (300 <= answer.status < 400 and target):
                return part_of(answer, first, media_type)
            location = request.url.join(target)
            if location.scheme != "https" and self._http.base_url.scheme == "https":
                raise SourceError(f"{url}: redirects from https to {location.scheme}")
            http = self._http if same_site(location, self._http.base_url) else self._stranger()
            request = http.build_request("GET", location, headers=where)
        raise SourceError(f"GET {path}: more than {MOST_REDIRECTS} redirects")

    def _stranger(self) -> httpx.Client:
        """The client for hosts that redirects lead to: it sends no credentials."""
        if self._other is None:
            self._other = httpx.Client(
                timeout=self._http.timeout, verify=trust(self.site.verify), follow_redirects=False, trust_env=False
            )
        return self._other

    def _persisting(self, tries: Tries | None) -> Retrying:
        limits = tries or self.site.tries
        counts = {"failures": 0, "refusals": 0}

        def is_worth_it(error: BaseException) -> bool:
            if isinstance(error, Refused):
                counts["refusals"] += 1
                return counts["refusals"] < limits.refusals
            counts["failures"] += 1
            most = min(2, limits.failures) if isinstance(error, LoginPage) else limits.failures
            return isinstance(error, SourceUnavailable | LoginPage) and counts["failures"] < most

        backoff = wait_random_exponential(limits.first_wait_s, limits.most_wait_s)

        def pause_s(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            if isinstance(error, Refused):
                return 0.0  # the throttle waits
            requested_s = error.retry_after_s if isinstance(error, IngestError) else None
            return float(max(backoff(state), min(requested_s or 0.0, permits.LONGEST_WAIT_S)))

        return Retrying(
            retry=retry_if_exception(is_worth_it),
            stop=stop_after_attempt(limits.failures + limits.refusals),
            wait=pause_s,
            reraise=True,
        )

    def _once(self, request: httpx.Request, decode: Callable[[bytes], T]) -> tuple[T, Answer]:
        url = f"{request.method} {request.url.copy_with(query=None, userinfo=None)}"
        if not same_site(request.url, self._http.base_url):  # a link of an answer: the login goes to its own site only
            raise SourceError(f"{url}: the answer links to another site than {self.site.host}")
        lease = self._permits.acquire(self.site.host, REST)
        answer = self._sent(request, url, lease)
        checked(answer)
        try:
            return decode(answer.body), answer
        except BrokenAnswer as error:
            raise BrokenAnswer(f"{url}: {error.message}") from None
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise BrokenAnswer(f"{url}: the body cannot be decoded: {type(error).__name__}") from None

    def _sent(self, request: httpx.Request, url: str, lease: Lease, http: httpx.Client | None = None) -> Answer:
        signal: Signal = rate_limit_headers.FAILED
        try:
            response = (http or self._http).send(request, stream=True)
            try:
                body = self._body(response, url)
            finally:
                response.close()
            signal = rate_limit_headers.read(response.status_code, response.headers)
            return Answer(response.status_code, response.headers, body, url)
        except httpx.InvalidURL as error:
            raise SourceError(f"{url}: {error}") from None
        except httpx.LocalProtocolError:  # its text repeats the header, and the login with it
            raise SourceError(f"{url}: the request is no valid HTTP: check the login and its characters") from None
        except httpx.HTTPError as error:
            raise NoAnswer(f"{url}: {type(error).__name__}: {logs.scrub(str(error))}") from None
        finally:
            self._permits.report(lease, signal)

    def _body(self, response: httpx.Response, url: str) -> bytes:
        parts: list[bytes] = []
        size = 0
        for part in response.iter_bytes():
            size += len(part)
            if size > self.site.most_body_bytes:
                raise SourceError(f"{url}: the answer is larger than {self.site.most_body_bytes} bytes")
            parts.append(part)
        return b"".join(parts)
