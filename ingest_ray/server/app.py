"""Assembles the server: GraphQL, health, metrics, login and console behind the middleware."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib import import_module
from typing import Any

from cross_web import HTTPException
from fastapi import APIRouter, FastAPI, Request
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.websockets import WebSocket, WebSocketState
from strawberry.exceptions import ConnectionRejectionError
from strawberry.fastapi import GraphQLRouter
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from ingest_ray import __version__, telemetry
from ingest_ray.graphql.request_context import RequestContext
from ingest_ray.graphql.schema import schema_for
from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import ConfigError, IngestError, RoleForbidden, Unauthenticated
from ingest_ray.server.alert_watch import watching
from ingest_ray.server.error_responses import refusal
from ingest_ray.server.graphiql import graphiql_router
from ingest_ray.server.health import health_router
from ingest_ray.server.identity import Authenticator
from ingest_ray.server.login import login_router
from ingest_ray.server.metrics import Metrics
from ingest_ray.server.middleware import BodyLimit, RateLimit, RequestLog, RequestTrace, SameOrigin
from ingest_ray.server.outage_log import OutageLog
from ingest_ray.server.plain_pages import answer_missing
from ingest_ray.server.sent_series import offer_unit_series
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.child_process import launcher
from ingest_ray.service.launching.lost_runs import restart_lost_runs
from ingest_ray.service.runs.schedules import TICK_S, Scheduler
from ingest_ray.service.runs.verification import end_comparisons
from ingest_ray.settings import ServeSettings

log = logging.getLogger(__name__)


class Router(GraphQLRouter[RequestContext, None]):
    """Authenticates WebSockets by the payload of `connection_init`, because browsers cannot send headers with them; closes them when the
    access of their principal ends."""

    authenticator: Authenticator

    async def run(self, *arguments: Any, **options: Any) -> Any:
        """Turns the library's refusals, which are plain text, into errors with a code."""
        try:
            return await super().run(*arguments, **options)
        except HTTPException as error:
            if error.status_code == 400:
                raise ConfigError(error.reason or "the request is no GraphQL query") from None
            raise

    def parse_json(self, data: str | bytes) -> object:
        document = super().parse_json(data)
        if not isinstance(document, dict):
            raise HTTPException(400, "the body must be a JSON object with a query")
        for name, kind in _BODY.items():
            if not isinstance(document.get(name), kind | None):
                raise HTTPException(400, f"'{name}' must be {'text' if kind is str else 'an object'}")
        return document

    def decode_json(self, data: str | bytes) -> object:
        try:
            return super().decode_json(data)
        except (UnicodeDecodeError, RecursionError) as error:
            raise json.JSONDecodeError(type(error).__name__, "", 0) from None

    async def on_ws_connect(self, context: RequestContext) -> Any:
        if context.principal is None:
            authorization = (context.connection_params or {}).get("Authorization", "")
            token = str(authorization).partition(" ")[2].strip() or str(authorization)
            try:
                context.principal = await asyncio.to_thread(self.authenticator.principal_of_secret, token)
            except Unauthenticated as error:
                raise ConnectionRejectionError({"message": error.message, "code": error.code}) from None
        watch = asyncio.create_task(_close_when_access_ends(context))
        _WATCHES.add(watch)
        watch.add_done_callback(_WATCHES.discard)
        return await super().on_ws_connect(context)


_WATCHES: set[asyncio.Task[None]] = set()  # the loop keeps only weak references
WATCH_S = 5.0


async def _close_when_access_ends(context: RequestContext) -> None:
    """Ends with the socket."""
    socket = context.request
    while isinstance(socket, WebSocket) and socket.client_state is WebSocketState.CONNECTED:
        try:
            await context.current_principal()
        except Unauthenticated as error:
            with suppress(RuntimeError):  # it closed meanwhile
                await socket.close(code=4403, reason=error.message)
            return
        except IngestError:  # the catalog is unavailable: nothing is known
            pass
        await asyncio.sleep(WATCH_S)


_BODY: dict[str, type] = {"query": str, "operationName": str, "variables": dict, "extensions": dict}


def build_app(installation: Installation, *, has_console: bool = True) -> FastAPI:
    settings = installation.settings.serve
    telemetry.configure(installation.settings)
    offer_unit_series(installation)
    authenticator, metrics = Authenticator(installation), Metrics(installation)

    app = FastAPI(
        title="ingest-ray",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=partial(_run_while_serving, installation),
    )

    context_of = partial(_context_of, installation, authenticator)
    app.include_router(_graphql_router(settings, authenticator, context_of))
    app.include_router(health_router(installation))
    app.include_router(_metrics_router(metrics, context_of))

    @app.exception_handler(IngestError)
    async def refused(_: Request, error: IngestError) -> Response:
        return refusal(error)

    if has_console:
        _mount_console(app, installation, authenticator)
    _add_middleware(app, settings, metrics)
    return app


ContextGetter = Callable[[HTTPConnection], Awaitable[RequestContext]]


async def _context_of(
    installation: Installation, authenticator: Authenticator, connection: HTTPConnection
) -> RequestContext:
    try:
        principal = await asyncio.to_thread(authenticator.principal_of, connection)
    except Unauthenticated:
        if connection.scope["type"] == "websocket" and "authorization" not in connection.headers:
            return RequestContext(installation, None, authenticator.renew)
        raise
    connection.state.principal = principal.name
    return RequestContext(installation, principal, authenticator.renew)


def _graphql_router(settings: ServeSettings, authenticator: Authenticator, context_of: ContextGetter) -> Router:
    async def context_getter(connection: HTTPConnection) -> RequestContext:
        return await context_of(connection)

    router = Router(
        schema_for(settings),
        path="/graphql",
        graphql_ide=None,
        allow_queries_via_get=False,
        context_getter=context_getter,
        subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
        allowed_origins=settings.allowed_origins,
    )
    router.authenticator = authenticator
    return router


def _metrics_router(metrics: Metrics, context_of: ContextGetter) -> APIRouter:
    router = APIRouter()

    @router.get("/metrics")
    async def show_metrics(connection: Request) -> Response:
        context = await context_of(connection)
        if (await context.current_principal()).endpoints is not None:
            raise RoleForbidden("metrics are of all endpoints", hint="use a token without --endpoint")
        return Response(await asyncio.to_thread(metrics.text), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _mount_console(app: FastAPI, installation: Installation, authenticator: Authenticator) -> None:
    app.add_exception_handler(404, answer_missing)
    app.include_router(login_router(authenticator))
    app.include_router(graphiql_router(authenticator))

    @app.get("/")
    async def home() -> Response:
        return RedirectResponse("/console/")

    import_module("ingest_ray.console").mount(app, installation, authenticator)


@asynccontextmanager
async def _run_while_serving(installation: Installation, _: FastAPI) -> AsyncIterator[None]:
    outage_log = OutageLog()
    clock = asyncio.create_task(_run_schedules(installation, outage_log))
    async with watching(installation, outage_log):
        yield
    launcher.end_waiting_runs()
    await asyncio.to_thread(end_comparisons)
    clock.cancel()
    with suppress(asyncio.CancelledError):
        await clock


def _add_middleware(app: FastAPI, settings: ServeSettings, metrics: Metrics) -> None:
    """The last one added is the outermost."""
    app.add_middleware(BodyLimit, most_bytes=settings.max_body_bytes, timeout_s=settings.request_timeout_s)
    app.add_middleware(RateLimit, per_minute=settings.requests_per_minute)
    app.add_middleware(SameOrigin, allowed=settings.allowed_origins)
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.allowed_origins),
            allow_methods=["POST"],
            allow_headers=["authorization", "content-type"],
        )
    app.add_middleware(RequestLog, metrics=metrics)
    if tracing.is_on():
        app.add_middleware(RequestTrace)


async def _run_schedules(installation: Installation, outage_log: OutageLog) -> None:
    """Starts what is due, and what another server accepted and could not start."""
    scheduler = Scheduler(installation)
    while True:
        try:
            for run_id in await asyncio.to_thread(restart_lost_runs, installation):
                log.info("run %s started", run_id)
            if installation.settings.serve.schedules.enabled:
                for run_id in await asyncio.to_thread(scheduler.tick):
                    log.info("scheduled run %s started", run_id)
            outage_log.succeeded("schedules")
        except IngestError as error:  # the catalog may be unavailable: the next tick tries again
            outage_log.failed("schedules", error)
        except Exception:
            log.exception("a defect in the schedules")
        await asyncio.sleep(TICK_S)
