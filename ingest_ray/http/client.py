"""Sends requests to one site: with its login, under its throttle, retried where that is safe, and with checked responses.

All methods may be called by several threads at once.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Lock
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from ingest_ray import logs
from ingest_ray.http import permits, rate_limit_headers
from ingest_ray.http.decompression import ACCEPTED, BodyFault, decoded
from ingest_ray.http.errors import BrokenAnswer, LoginPage, NoAnswer, Refused, ScopeMissing, WaitStopped
from ingest_ray.http.logins import Auth, Login
from ingest_ray.http.permits import Lease, Permits
from ingest_ray.http.rate_limit_headers import Signal
from ingest_ray.http.request_spans import note_answer, request_span
from ingest_ray.http.responses import Answer, Part, checked, is_login_refused, leads_to_login, part_of
from ingest_ray.http.transport import Transport
from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import IngestError, SourceError, SourceUnavailable

__all__ = ["ONCE", "Auth", "Client", "Params", "Site", "Tries"]

log = logging.getLogger(__name__)
T = TypeVar("T")
Params = Mapping[str, Any]
"""Query parameters; a list repeats its parameter."""
REST = "rest"
"""The endpoint class of all requests to a site that counts them together, as Data Center does per user."""


MOST_REDIRECTS = 5
_limited: set[str] = set()
"""The budgets that have a quota, as answers to this process said."""


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
    auth: Login
    transport: Transport = field(default_factory=Transport)
    timeout_s: float = 60.0
    tries: Tries = Tries()
    most_body_bytes: int = 256 * 1024 * 1024
    scope_hint: Callable[[str, str], str | None] | None = None
    """What to say about a missing scope, for a method and a path below `base_url`."""
    endpoint_class: Callable[[str, str], str] = lambda method, path: REST
    """The class of a request, for a method and a path below `base_url`: requests of one class share a rate."""
    points: Callable[[httpx.Request, str], int] = lambda request, endpoint_class: 1
    """What a request may cost of a quota, at most."""
    objects: Callable[[str, bytes], int] = lambda endpoint_class, body: 0
    """The points of the objects in an answer."""

    @cached_property
    def host(self) -> str:
        return urlsplit(self.base_url).netloc

    @cached_property
    def budget(self) -> str:
        """The name of the site's budget. Through a gateway all tenants share one host; quotas are counted per account."""
        path = urlsplit(self.base_url).path
        tenant = f"{self.host}{path}" if path.startswith("/ex/") else self.host
        account = hashlib.sha256(self.auth.identity.encode()).hexdigest()[:8]
        return f"{tenant}@{account}"


def shown(request: httpx.Request) -> str:
    """For errors: without what may be secret. (`URL.copy_with` would parse the address again, for each request.)"""
    url = request.url
    return (
        f"{request.method} {url.scheme}://{url.netloc.decode('ascii')}{url.raw_path.partition(b'?')[0].decode('ascii')}"
    )


def same_site(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.netloc) == (other.scheme, other.netloc)


class Client:
    """A context manager, open while it is entered. `connections`: the number of concurrent requests."""

    def __init__(self, site: Site, connections: int = 8) -> None:
        self.site = site
        self.has_one_budget = False
        """Whether the site counts the requests of all classes together."""
        self.spent_points = 0
        """What the answers to this client have cost."""
        self._permits: Permits = permits.current()
        self._watch = permits.current_watch()
        self._spending = permits.current_spending()
        self._work = tracing.current()
        self._transport = replace(site.transport, timeout_s=site.timeout_s)
        self._connections = connections
        self._other: httpx.Client | None = None
        self._other_lock = Lock()
        site.auth.header()  # a login that cannot be used is an error of the caller, before any thread starts
        headers = {"accept": "application/json", "user-agent": "ingest_ray", "accept-encoding": ACCEPTED}
        self._http = self._transport.open(connections, site.base_url.rstrip("/"), headers)

    @property
    def has_quota(self) -> bool:
        """Whether the site has an hourly quota for this login, as far as this process has seen an answer."""
        return self.site.budget in _limited

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
            url = shown(request)
            answer = self._logged_in(request, url) if http is self._http else self._sent(request, url, http)
            target = answer.headers.get("location")
            if not (300 <= answer.status < 400 and target) or (http is self._http and leads_to_login(answer)):
                with self._explaining(request):
                    return part_of(answer, first, media_type)
            location = request.url.join(target)
            if location.scheme != "https" and self._http.base_url.scheme == "https":
                raise SourceError(f"{url}: redirects from https to {location.scheme}")
            http = self._http if same_site(location, self._http.base_url) else self._stranger()
            request = http.build_request("GET", location, headers=where)
        raise SourceError(f"GET {path}: more than {MOST_REDIRECTS} redirects")

    def _stranger(self) -> httpx.Client:
        """The client for hosts that redirects lead to: it sends no credentials."""
        with self._other_lock:
            if self._other is None:
                self._other = self._transport.without_identity.open(self._connections)
            return self._other

    def _persisting(self, tries: Tries | None) -> Retrying:
        limits = tries or self.site.tries
        counts = {"failures": 0, "refusals": 0}

        def is_worth_it(error: BaseException) -> bool:
            if isinstance(error, Refused):
                counts["refusals"] += 1
                return counts["refusals"] < limits.refusals
            if isinstance(error, WaitStopped):
                return False
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
        url = shown(request)
        if not same_site(request.url, self._http.base_url):  # a link of an answer: the login goes to its own site only
            raise SourceError(f"{url}: the answer links to another site than {self.site.host}")
        answer = self._logged_in(request, url)
        with self._explaining(request):
            checked(answer)
        try:
            return decode(answer.body), answer
        except BrokenAnswer as error:
            raise BrokenAnswer(f"{url}: {error.message}") from None
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise BrokenAnswer(f"{url}: the body cannot be decoded: {type(error).__name__}") from None

    def _logged_in(self, request: httpx.Request, url: str) -> Answer:
        """Sends the request with the login's header; once more with another one where an access token has ended."""
        answer = self._sent(request, url, self._http)
        if is_login_refused(answer) and self.site.auth.renew(request.headers.get("authorization", "")):
            answer = self._sent(request, url, self._http)
        return answer

    @contextmanager
    def _explaining(self, request: httpx.Request) -> Iterator[None]:
        """Adds to the error of a missing scope which one the request needs."""
        try:
            yield
        except ScopeMissing as error:
            if self.site.scope_hint is not None:
                error.hint = self.site.scope_hint(request.method, self._path_of(request)) or error.hint
            raise

    def _path_of(self, request: httpx.Request) -> str:
        return "/" + request.url.path.removeprefix(self._http.base_url.path).lstrip("/")

    def _permit(self, request: httpx.Request, http: httpx.Client) -> Lease:
        if http is not self._http:
            return self._permits.acquire(request.url.netloc.decode(), REST, watch=self._watch)
        name = REST if self.has_one_budget else self.site.endpoint_class(request.method, self._path_of(request))
        return self._permits.acquire(self.site.budget, name, self.site.points(request, name), self._watch)

    def _authorize(self, request: httpx.Request) -> None:
        """Just before it is sent: a request may wait for its permit longer than an access token lasts."""
        header = self.site.auth.header()
        if header:
            request.headers["authorization"] = header

    def _sent(self, request: httpx.Request, url: str, http: httpx.Client) -> Answer:
        lease = self._permit(request, http)
        signal: Signal = rate_limit_headers.FAILED
        try:
            if http is self._http:
                self._authorize(request)
            with request_span(request, self._work) as span:
                response = http.send(request, stream=True)
                try:
                    body = self._body(response, url)
                finally:
                    response.close()
                note_answer(span, response.status_code, len(body))
            signal = rate_limit_headers.read(response.status_code, response.headers)
            if signal.quota_limit is not None:
                _limited.add(self.site.budget)
            self._count_points(1 + (self.site.objects(lease.endpoint_class, body) if response.is_success else 0))
            return Answer(response.status_code, response.headers, body, url)
        except httpx.InvalidURL as error:
            raise SourceError(f"{url}: {error}") from None
        except httpx.LocalProtocolError:  # its text repeats the header, and the login with it
            raise SourceError(f"{url}: the request is no valid HTTP: check the login and its characters") from None
        except httpx.HTTPError as error:
            raise NoAnswer(f"{url}: {type(error).__name__}: {logs.scrub(str(error))}") from None
        finally:
            self._permits.report(lease, signal)

    def _count_points(self, points: int) -> None:
        self.spent_points += points
        if self._spending is not None:
            self._spending.add(points)

    def _body(self, response: httpx.Response, url: str) -> bytes:
        try:
            return decoded(response.iter_raw(), response.headers.get("content-encoding", ""), self.site.most_body_bytes)
        except BodyFault as fault:
            kind = SourceError if fault.is_final else BrokenAnswer
            raise kind(f"{url}: {fault}") from None
