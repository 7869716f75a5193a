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
from urllib.parse import urljoin, urlsplit

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential
from urllib3 import BaseHTTPResponse, exceptions

from ingest_ray import logs
from ingest_ray.http import permits, rate_limit_headers
from ingest_ray.http.decompression import ACCEPTED, BodyFault, decoded
from ingest_ray.http.errors import BrokenAnswer, LoginPage, NoAnswer, Refused, ScopeMissing, WaitStopped
from ingest_ray.http.logins import Auth, Login
from ingest_ray.http.permits import Lease, Permits
from ingest_ray.http.rate_limit_headers import Signal
from ingest_ray.http.request import Base, Params, Request
from ingest_ray.http.request_spans import note_answer, request_span
from ingest_ray.http.responses import Answer, Part, checked, is_login_refused, leads_to_login, part_of
from ingest_ray.http.transport import Connections, Transport, give_back, received
from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import IngestError, SourceError, SourceUnavailable

__all__ = ["ONCE", "Auth", "Client", "Params", "Site", "Tries"]

log = logging.getLogger(__name__)
T = TypeVar("T")
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
    points: Callable[[Request, str], int] = lambda request, endpoint_class: 1
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
        self._other: Connections | None = None
        self._other_lock = Lock()
        site.auth.header()  # a login that cannot be used is an error of the caller, before any thread starts
        headers = {"Accept": "application/json", "User-Agent": "ingest_ray", "Accept-Encoding": ACCEPTED}
        self._base = Base(site.base_url, headers)
        self._http = self._transport.open(connections)

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
        return self.fetch(self._request(path, params), decode, tries)[0]

    def ask(
        self, path: str, decode: Callable[[bytes], T], document: Mapping[str, Any], tries: Tries | None = None
    ) -> T:
        """The decoded body of a POST that only queries: as safe to repeat as a GET."""
        return self.fetch(self._base.post_json(path, document), decode, tries)[0]

    def answer(self, path: str, params: Mapping[str, str | int] | None = None, tries: Tries | None = None) -> Answer:
        """The whole response, with its headers."""
        return self.fetch(self._request(path, params), json.loads, tries)[1]

    def _request(self, path: str, params: Params | None = None, headers: Mapping[str, str] | None = None) -> Request:
        """`path`: below the base URL, or a link of an answer. Raises `SourceError`."""
        try:
            return self._base.get(path, params, headers)
        except ValueError as error:
            raise SourceError(f"GET {self.site.base_url}: the address of a request is none: {error}") from None

    def fetch(self, request: Request, decode: Callable[[bytes], T], tries: Tries | None = None) -> tuple[T, Answer]:
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
        where = {"Range": f"bytes={first}-{last}", "Accept": "*/*", "Accept-Encoding": "identity"}
        request, http = self._request(path, headers=where), self._http
        for _ in range(MOST_REDIRECTS):
            url = request.shown
            answer = self._logged_in(request, url) if http is self._http else self._sent(request, url, http)
            target = answer.headers.get("location")
            if not (300 <= answer.status < 400 and target) or (http is self._http and leads_to_login(answer)):
                with self._explaining(request):
                    return part_of(answer, first, media_type)
            request = self._redirected(request, target, where)
            http = self._http if request.origin == self._base.origin else self._stranger()
        raise SourceError(f"GET {path}: more than {MOST_REDIRECTS} redirects")

    def _redirected(self, request: Request, target: str, headers: Mapping[str, str]) -> Request:
        location = urljoin(request.url, target)
        scheme = urlsplit(location).scheme
        if scheme != "https" and self._base.origin.scheme == "https":
            raise SourceError(f"{request.shown}: redirects from https to {scheme}")
        return self._request(location, headers=headers)

    def _stranger(self) -> Connections:
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

    def _once(self, request: Request, decode: Callable[[bytes], T]) -> tuple[T, Answer]:
        url = request.shown
        if request.origin != self._base.origin:  # a link of an answer: the login goes to its own site only
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

    def _logged_in(self, request: Request, url: str) -> Answer:
        """Sends the request with the login's header; once more with another one where an access token has ended."""
        answer = self._sent(request, url, self._http)
        if is_login_refused(answer) and self.site.auth.renew(request.headers.get("Authorization", "")):
            answer = self._sent(request, url, self._http)
        return answer

    @contextmanager
    def _explaining(self, request: Request) -> Iterator[None]:
        """Adds to the error of a missing scope which one the request needs."""
        try:
            yield
        except ScopeMissing as error:
            if self.site.scope_hint is not None:
                error.hint = self.site.scope_hint(request.method, self._path_of(request)) or error.hint
            raise

    def _path_of(self, request: Request) -> str:
        return "/" + request.path.removeprefix(self._base.path).lstrip("/")

    def _permit(self, request: Request, http: Connections) -> Lease:
        if http is not self._http:
            return self._permits.acquire(request.origin.netloc, REST, watch=self._watch)
        name = REST if self.has_one_budget else self.site.endpoint_class(request.method, self._path_of(request))
        return self._permits.acquire(self.site.budget, name, self.site.points(request, name), self._watch)

    def _authorize(self, request: Request) -> None:
        """Just before it is sent: a request may wait for its permit longer than an access token lasts."""
        header = self.site.auth.header()
        if header:
            request.headers["Authorization"] = header

    def _sent(self, request: Request, url: str, http: Connections) -> Answer:
        lease = self._permit(request, http)
        signal: Signal = rate_limit_headers.FAILED
        try:
            if http is self._http:
                self._authorize(request)
            with request_span(request, self._work) as span:
                response = self._response(request, url, http)
                try:
                    body = self._body(response, url)
                finally:
                    give_back(response)
                note_answer(span, response.status, len(body))
            signal = rate_limit_headers.read(response.status, response.headers)
            if signal.quota_limit is not None:
                _limited.add(self.site.budget)
            is_success = 200 <= response.status < 300
            self._count_points(1 + (self.site.objects(lease.endpoint_class, body) if is_success else 0))
            return Answer(response.status, response.headers, body, url)
        except exceptions.HTTPError as error:
            raise NoAnswer(f"{url}: {type(error).__name__}: {logs.scrub(str(error))}") from None
        finally:
            self._permits.report(lease, signal)

    def _response(self, request: Request, url: str, http: Connections) -> BaseHTTPResponse:
        try:
            return http.send(request)
        except exceptions.LocationValueError as error:
            raise SourceError(f"{url}: {error}") from None
        except ValueError:  # its text repeats the header, and the login with it
            raise SourceError(f"{url}: the request is no valid HTTP: check the login and its characters") from None

    def _count_points(self, points: int) -> None:
        self.spent_points += points
        if self._spending is not None:
            self._spending.add(points)

    def _body(self, response: BaseHTTPResponse, url: str) -> bytes:
        try:
            return decoded(received(response), response.headers.get("content-encoding", ""), self.site.most_body_bytes)
        except BodyFault as fault:
            kind = SourceError if fault.is_final else BrokenAnswer
            raise kind(f"{url}: {fault}") from None
