"""The ASGI application of a site: applies rate limits, faults, login and routing, then sends the whole answer or half of it."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Protocol
from urllib.parse import parse_qs
from uuid import UUID

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ingest_ray.simulators.atlassian.content.clock import HOUR_MS, Clock
from ingest_ray.simulators.atlassian.content.seeded_draws import SeededDraws
from ingest_ray.simulators.atlassian.server.auth import Credentials
from ingest_ray.simulators.atlassian.server.compression import coding_of, compressed
from ingest_ray.simulators.atlassian.server.error_messages import localized
from ingest_ray.simulators.atlassian.server.fault_replies import FAULTS, HTML, TOO_MANY_PAGE, server_error
from ingest_ray.simulators.atlassian.server.points import HourlyQuota, points_of
from ingest_ray.simulators.atlassian.server.rate_limits import Bucket, Limits
from ingest_ray.simulators.atlassian.server.request_counts import Stats
from ingest_ray.simulators.atlassian.server.routing import Call, Endpoint, Reply, RequestRefused, Router, problem, reply
from ingest_ray.simulators.atlassian.server.scopes import alternatives_of
from ingest_ray.simulators.atlassian.server.traps import Traps

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

CLOUD_ID = "11111111-2222-4333-8444-555555555555"
SLOW_S = 2.0
SMALL = 1_024  # bytes that are not worth compressing


class Site(Protocol):
    """One product in one deployment."""

    router: Router

    def anonymous_reply(self, call: Call) -> Reply: ...
    def unauthorized_reply(self) -> Reply: ...
    def unknown_path_reply(self, call: Call) -> Reply: ...
    def failed_login_reply(self, call: Call, verdict: str) -> Reply: ...
    def finish_reply(self, call: Call, response: Reply) -> Reply: ...
    def answer_from_node(self, number: int) -> None: ...


@dataclass(slots=True)
class SiteServer:
    """The application of one simulated site."""

    product: str
    cloud: bool
    url: str
    site: Site
    control: Any
    clock: Clock
    draws: SeededDraws
    traps: Traps
    stats: Stats
    limits: Limits
    credentials: Credentials
    account_id: str
    latency_s: float = 0.0
    quota: HourlyQuota | None = None
    served: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        path: str = scope["path"]
        if path.startswith("/__sim/"):
            await self._send(
                self.control.answer(scope["method"], path, scope["query_string"], body), scope, receive, send
            )
            return
        self.stats.begin()
        template, response = "", Reply(500, b"")
        try:
            template, response = await self._answer(request, path, body)
        finally:
            self.stats.end(template, response.status, len(response.body))
        await self._finish(response, path, scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    # Requests.

    async def _answer(self, request: Request, path: str, body: bytes) -> tuple[str, Reply]:
        self.served += 1
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in request.scope["headers"]}
        gateway, path = self._gateway(path)
        match = self.site.router.find(request.method, path)
        template = match[2] if isinstance(match, tuple) else f"{request.method} ?"
        params = match[1] if isinstance(match, tuple) else {}
        query: bytes = request.scope["query_string"]
        call = Call(request.method, path, params, query, headers, body, self.url, template, gateway)
        bucket, refusal = self._budget(call)
        if refusal is None:
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            if self.traps.strikes("slow-responses", path, self.draws):
                self.stats.faults["slow-responses"] += 1
                await asyncio.sleep(SLOW_S)
            self._choose_node(call)
            refusal = self._fault(call) or self._respond(call, match)
            self._count_points(call, refusal)
        self._add_headers(refusal, bucket, is_app=self._is_app(call))
        return template, refusal

    def _is_app(self, call: Call) -> bool:
        """Whether the request counts in the quota: those of API tokens do not."""
        return self.quota is not None and call.headers.get("authorization", "").startswith("Bearer access-")

    def _count_points(self, call: Call, response: Reply) -> None:
        if self.quota is None:
            return
        points = points_of(call.template, response)
        self.stats.points[call.template] += points
        if self._is_app(call):
            self.quota.count(points, self.clock.now())
            self.stats.quota_used[self.clock.now() // HOUR_MS] += points

    def _gateway(self, path: str) -> tuple[bool, str]:
        prefix = f"/ex/{self.product}/{CLOUD_ID}/"
        if self.cloud and path.startswith(prefix):
            return True, path[len(prefix) - 1 :]
        return False, path

    def _budget(self, call: Call) -> tuple[Bucket | None, Reply | None]:
        retry_after = "no-retry-after" not in self.traps
        if self.quota is not None and self._is_app(call) and not self.quota.admits(self.clock.now()):
            hour = self.clock.now() // HOUR_MS
            self.stats.quota_refusals[hour] += 1
            response = self._too_many(None, retry_after=False)
            response.headers |= self.quota.headers(self.clock.now(), refused=True, retry_after=retry_after)
            return None, response
        names = ("too-many-requests", "too-many-requests-silent")
        struck = [name for name in names if self.traps.strikes(name, call.path, self.draws)]
        bucket: Bucket | None = None
        if self.limits.rate:
            allowed, bucket = self.limits.take(call.template, self.clock.elapsed_s())
            if not allowed:
                return bucket, self._too_many(bucket, retry_after=retry_after)
        if struck:
            self.stats.faults[struck[0]] += 1
            return bucket, self._too_many(bucket, retry_after=struck[0] == "too-many-requests" and retry_after)
        return bucket, None

    def _too_many(self, bucket: Bucket | None, *, retry_after: bool) -> Reply:
        headers = self.limits.headers(bucket, refused=True, retry_after=retry_after, now_ms=self.clock.now())
        text = localized("Rate limit exceeded.", german="localized" in self.traps)
        response = reply({"errorMessages": [text], "errors": {}}, 429)
        if not self.cloud:
            response = Reply(429, TOO_MANY_PAGE, {"X-Seraph-LoginReason": "OK"}, HTML)
        response.headers.update(headers)
        return response

    def _choose_node(self, call: Call) -> None:
        """Which node of a Data Center answers: each has a search index of its own."""
        is_other = self.traps.strikes("node-switch", call.path, self.draws)
        if is_other:
            self.stats.faults["node-switch"] += 1
        self.site.answer_from_node(int(is_other))

    def _fault(self, call: Call) -> Reply | None:
        struck = [name for name in ("server-errors", *FAULTS) if self.traps.strikes(name, call.path, self.draws)]
        if self.traps.strikes("expired-credentials", call.path, self.draws) and not self.credentials.token.endswith(
            "-next"
        ):
            self.credentials.rotate()
            struck.append("expired-credentials")
        for name in struck:
            self.stats.faults[name] += 1
        if "server-errors" in struck:
            return server_error(self.stats.faults["server-errors"])
        return next((FAULTS[name](call) for name in struck if name in FAULTS), None)

    def _respond(self, call: Call, match: tuple[Endpoint, dict[str, str], str] | int) -> Reply:
        common = self._host_reply(call)
        if common is not None:
            return common
        most = self.traps.number("long-address-414")
        if most and len(call.path) + len(call.raw_query) > most:
            return Reply(414, b"<html><body>Request-URI Too Long</body></html>", kind=HTML)
        if isinstance(match, int):
            if match == 405:
                return problem(
                    405, "Method Not Allowed", f"Request method '{call.method}' is not supported.", call.path
                )
            return self.site.unknown_path_reply(call)
        if call.method == "POST" and call.body and "json" not in call.headers.get("content-type", ""):
            kind = call.headers.get("content-type", "")
            return problem(415, "Unsupported Media Type", f"Content-Type '{kind}' is not supported.", call.path)
        verdict = self.credentials.check(
            call.headers.get("authorization", ""), gateway=call.gateway, now_ms=self.clock.now()
        )
        header = call.headers.get("authorization", "")
        if verdict == "known" and call.gateway and self.credentials.lacks(header, alternatives_of(call.template)):
            self.stats.faults["scope"] += 1
            refusal = reply({"code": 401, "message": "Unauthorized; scope does not match"}, 401)
            refusal.headers["X-Failure-Category"] = "FAILURE_CLIENT_SCOPE_CHECK"
            return refusal
        try:
            if call.path.startswith(("/media/", "/wiki/media/")) or verdict == "known":
                return self.site.finish_reply(call, match[0](call))
            return self.site.failed_login_reply(call, verdict)
        except RequestRefused as refused:
            return refused.reply

    def _host_reply(self, call: Call) -> Reply | None:
        """Answers the host's endpoints beside the product: tenant info, and those of OAuth 2.0."""
        if (call.method, call.path) == ("POST", "/oauth/token" if self.cloud else "/rest/oauth2/latest/token"):
            return self._token_reply(call)
        if not self.cloud:
            return None
        match (call.method, call.path):
            case ("GET", "/_edge/tenant_info"):
                return reply({"cloudId": CLOUD_ID, "cloudName": "simulated"})
            case ("GET", "/oauth/token/accessible-resources"):
                header = call.headers.get("authorization", "")
                if self.credentials.check(header, gateway=True, now_ms=self.clock.now()) != "known":
                    return reply({"code": 401, "message": "Unauthorized"}, 401)
                scopes = sorted(self.credentials.scopes or ["read:jira-work"])
                site = {"id": CLOUD_ID, "url": self.url, "name": "simulated", "scopes": scopes, "avatarUrl": ""}
                return reply([site])
        return None

    def _token_reply(self, call: Call) -> Reply:
        """Cloud takes JSON, Data Center a form, as their documentation has it; counted as `token`."""
        self.stats.faults["token"] += 1
        is_json = "json" in call.headers.get("content-type", "")
        if is_json != self.cloud:
            return reply({"error": "invalid_request"}, 400)
        form = {name: values[-1] for name, values in parse_qs(call.body.decode("latin-1")).items()}
        document = {name: str(value) for name, value in call.json_body().items()} if is_json else form
        status, body = self.credentials.answer_grant(document, self.clock.now())
        return reply(body, status)

    # Answers.

    def _add_headers(self, response: Reply, bucket: Bucket | None, *, is_app: bool) -> None:
        if response.status != 429:
            headers = self.limits.headers(bucket, refused=False, retry_after=False, now_ms=self.clock.now())
            if is_app and self.quota is not None:
                of_quota = self.quota.headers(self.clock.now(), refused=False, retry_after=False)
                headers |= {name: ", ".join(filter(None, (text, headers.get(name)))) for name, text in of_quota.items()}
            for name, value in headers.items():
                response.headers.setdefault(name, value)
        number = UUID(int=self.served)
        if not self.cloud:
            response.headers |= {"x-arequestid": f"{self.served}x1x1", "x-asen": "SEN-L1"}
            if "x-seraph-loginreason" not in map(str.lower, response.headers):
                response.headers["x-seraph-loginreason"] = "OK"
            return
        response.headers |= {"atl-request-id": str(number), "atl-traceid": number.hex, "x-arequestid": str(number)}
        if self.account_id:
            response.headers.setdefault("x-aaccountid", self.account_id)

    async def _finish(self, response: Reply, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        cut = len(response.body) // 2
        if response.status == 200 and cut > 20:
            if self.traps.strikes("truncated-json", path, self.draws):
                self.stats.faults["truncated-json"] += 1
                response.body = response.body[:cut]
            elif self.traps.strikes("truncated-bodies", path, self.draws):
                self.stats.faults["truncated-bodies"] += 1
                head = self._response(response).raw_headers
                await send({"type": "http.response.start", "status": response.status, "headers": head})
                await send({"type": "http.response.body", "body": response.body[:cut], "more_body": True})
                return  # uvicorn closes a connection whose answer is unfinished
            elif self.traps.strikes("cut-compressed", path, self.draws):
                self.stats.faults["cut-compressed"] += 1
                coding = self._coding(scope) or "gzip"
                whole = compressed(response.body, coding)
                response.body = whole[: len(whole) * 2 // 3]
                response.headers["content-encoding"] = coding
        self._compress(response, scope)
        await self._send(response, scope, receive, send)

    def _coding(self, scope: Scope) -> str:
        return "br" if "unasked-br" in self.traps else coding_of(scope["headers"])

    def _compress(self, response: Reply, scope: Scope) -> None:
        """As the client accepts it. Files and their parts stay as they are: their lengths and ranges count bytes."""
        names = {name.lower() for name in response.headers}
        coding = self._coding(scope)
        if "compressed" not in self.traps or not coding or len(response.body) < SMALL or "content-encoding" in names:
            return
        if response.status == 200 and response.kind.startswith("application/json"):
            response.body = compressed(response.body, coding)
            response.headers |= {"content-encoding": coding, "vary": "Accept-Encoding"}

    def _response(self, response: Reply) -> Response:
        headers = {**response.headers, "content-type": response.kind}
        headers["date"] = formatdate(self.clock.now() / 1000, usegmt=True)
        sent = Response(response.body, response.status, headers)
        if "vary" in response.headers:  # compressed while it is sent: chunked, without a length
            sent.raw_headers = [(name, value) for name, value in sent.raw_headers if name != b"content-length"]
        return sent

    async def _send(self, response: Reply, scope: Scope, receive: Receive, send: Send) -> None:
        await self._response(response)(scope, receive, send)
