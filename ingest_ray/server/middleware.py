"""Checks of every request: its origin, its size and the caller's rate; and its log line.

ASGI middleware: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import ConfigError, PayloadTooLarge, RateLimited, RoleForbidden
from ingest_ray.server.error_responses import refusal
from ingest_ray.server.metrics import Metrics, route_of

log = logging.getLogger(__name__)

MOST_CALLERS = 10_000  # kept by the rate limit; beyond, the least recent callers are dropped
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with `no-referrer` a browser would send our own forms with `Origin: null`
    "Content-Security-Policy": "frame-ancestors 'none'",
}


class SameOrigin:
    """Refuses requests and WebSockets from other sites, by the `Origin` that browsers send.

    Together with cookies that are `SameSite=Strict` this is the whole protection against forged requests.
    """

    def __init__(self, app: ASGIApp, allowed: Collection[str]) -> None:
        self._app = app
        self._allowed = {origin.rstrip("/").lower() for origin in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if origin is not None and not self._is_fine(origin.lower(), headers.get("host", "")):
                error = RoleForbidden(f"requests from '{origin}' are not allowed here", hint="serve.allowed_origins")
                await _refuse(scope, receive, send, refusal(error, 403))
                return
        await self._app(scope, receive, send)

    def _is_fine(self, origin: str, host: str) -> bool:
        return origin in self._allowed or urlsplit(origin).netloc == host.lower()


class BodyLimit:
    """Refuses a body that is too large, by its header or by the bytes received; a compressed one; and one that does not arrive."""

    def __init__(self, app: ASGIApp, most_bytes: int, timeout_s: float) -> None:
        self._app = app
        self._most = most_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            error = ConfigError("a compressed body is not accepted", hint="send it without Content-Encoding")
            await refusal(error, 415)(scope, receive, send)
            return
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._most:
            await refusal(self._error())(scope, receive, send)
            return
        body = bytearray()
        try:
            async with asyncio.timeout(self._timeout_s):
                while True:  # small by definition: read whole before any answer is sent
                    message = await receive()
                    body += message.get("body", b"")
                    if len(body) > self._most:
                        await refusal(self._error())(scope, receive, send)
                        return
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        break
        except TimeoutError:
            late = refusal(ConfigError(f"the request was not complete after {self._timeout_s:g} s"), 408)
            late.headers["Connection"] = "close"
            await late(scope, receive, send)
            return
        is_given = False

        async def receive_buffered() -> Message:
            nonlocal is_given
            if is_given or message["type"] != "http.request":
                return await receive() if is_given else message
            is_given = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self._app(scope, receive_buffered, send)

    def _error(self) -> PayloadTooLarge:
        return PayloadTooLarge(f"a request has at most {self._most} bytes", hint="serve.max_body_bytes")


class RateLimit:
    """Limits each caller by a token bucket that holds the requests of one minute."""

    def __init__(self, app: ASGIApp, per_minute: int) -> None:
        self._app = app
        self._most = float(per_minute)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            wait_s = self.take(scope["client"][0] if scope.get("client") else "", time.monotonic())
            if wait_s > 0:
                error = RateLimited("too many requests", retry_after_s=wait_s)
                await _refuse(scope, receive, send, refusal(error))
                return
        await self._app(scope, receive, send)

    def take(self, caller: str, now: float) -> float:
        """Takes one token; returns the seconds to wait, 0 for none."""
        left, at = self._buckets.pop(caller, (self._most, now))
        left = min(self._most, left + (now - at) * self._most / 60)
        is_fine = left >= 1
        self._buckets[caller] = (left - 1 if is_fine else left, now)
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if is_fine else (1 - left) * 60 / self._most


_UNTRACED = ("/healthz", "/readyz", "/metrics", "/_nicegui", "/_vendor")


class RequestTrace:
    """A span for each request, which continues the caller's trace: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_UNTRACED):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        route = route_of(scope["path"])
        facts = {"http.request.method": scope["method"], "url.scheme": scope.get("scheme", "http"), "http.route": route}
        with tracing.attached(given), tracing.span(f"{scope['method']} {route}", facts, kind="server") as span:

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set({"http.response.status_code": message["status"]})
                    if message["status"] >= 500:
                        span.fail(str(message["status"]))
                await send(message)

            await self._app(scope, receive, send_noted)


class RequestLog:
    """Logs one line for each request, without headers and bodies, and counts it for `/metrics`."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            seconds = time.monotonic() - started
            self._metrics.observe_request(scope["method"], scope["path"], status, seconds)
            who = scope.get("state", {}).get("principal")
            caller = scope["client"][0] if scope.get("client") else "-"
            log.info(
                "%s %s %d %.0f ms by %s from %s",
                scope["method"],
                scope["path"],
                status,
                seconds * 1e3,
                who or "-",
                caller,
            )


async def _refuse(scope: Scope, receive: Receive, send: Send, answer: ASGIApp) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    await answer(scope, receive, send)
