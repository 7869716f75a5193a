"""The pages and their frame. Without a login, they redirect to the login page."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI, Request
from nicegui import ui
from starlette.responses import RedirectResponse, Response

from ingest_ray.console.audit_page import show_audit_log
from ingest_ray.console.elements import CSS, text_of
from ingest_ray.console.endpoints_page import show_endpoints
from ingest_ray.console.page_context import LOGIN, PageContext
from ingest_ray.console.run_page import show_run
from ingest_ray.console.units_page import show_units
from ingest_ray.sdk.errors import Unauthenticated
from ingest_ray.server.identity import Authenticator
from ingest_ray.service.installation import Installation

BUILD_S = 20.0  # a page reads the catalog before it is shown


def mount(app: FastAPI, installation: Installation, authenticator: Authenticator) -> None:
    async def visit(request: Request) -> PageContext | None:
        try:
            principal = await asyncio.to_thread(authenticator.principal_of, request)
        except Unauthenticated:
            return None
        caller = request.client.host if request.client is not None else "unknown"
        return PageContext(installation, principal, authenticator.renew, caller)

    @ui.page("/", title="Endpoints - ingest-ray", response_timeout=BUILD_S)
    async def endpoints(request: Request) -> Response | None:
        if (context := await visit(request)) is None:
            return RedirectResponse(LOGIN)
        with _frame(context):
            await show_endpoints(context)
        return None

    @ui.page("/endpoint/{endpoint_id}", title="Units - ingest-ray", response_timeout=BUILD_S)
    async def units(request: Request, endpoint_id: str) -> Response | None:
        if (context := await visit(request)) is None:
            return RedirectResponse(LOGIN)
        with _frame(context):
            await show_units(context, endpoint_id)
        return None

    @ui.page("/run/{run_id}", title="Run - ingest-ray", response_timeout=BUILD_S)
    async def run(request: Request, run_id: str) -> Response | None:
        if (context := await visit(request)) is None:
            return RedirectResponse(LOGIN)
        with _frame(context):
            await show_run(context, run_id)
        return None

    @ui.page("/audit", title="Audit log - ingest-ray", response_timeout=BUILD_S)
    async def audit(request: Request) -> Response | None:
        if (context := await visit(request)) is None:
            return RedirectResponse(LOGIN)
        with _frame(context):
            await show_audit_log(context)
        return None

    options: dict[str, Any] = {"tailwind": False, "show_welcome_message": False}
    ui.run_with(app, mount_path="/console", title="ingest-ray", reconnect_timeout=10.0, **options)


@contextmanager
def _frame(context: PageContext) -> Iterator[None]:
    ui.add_css(CSS)
    ui.colors(primary="#1f5fa8", positive="#1b6e3a", negative="#a61b1b")
    ui.link("Skip to content", "#content").classes("skip")
    with ui.element("header").classes("top"):
        ui.link("ingest-ray", "/").classes("home")
        with ui.element("nav").props('aria-label="Main"'):
            ui.link("Endpoints", "/")
            if context.is_admin:
                ui.link("Audit log", "/audit").classes("further")
        text_of(f"{context.principal.name} ({context.principal.role})", classes="who")
        with ui.element("form").props('method="post" action="/logout"'):
            with ui.element("button").props('type="submit"'):
                text_of("Log out")
    with ui.element("main").classes("page").props('id="content" tabindex="-1"'):
        yield
