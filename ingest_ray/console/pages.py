"""The pages and their frame. Without a login, they redirect to the login page."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from nicegui import app as pages_app
from nicegui import ui
from starlette.responses import RedirectResponse, Response

from ingest_ray.console.audit_page import show_audit_log
from ingest_ray.console.datasets_page import show_dataset, show_datasets
from ingest_ray.console.elements import text_of
from ingest_ray.console.endpoints_page import show_endpoints
from ingest_ray.console.overview_page import show_overview
from ingest_ray.console.page_context import LOGIN, PageContext
from ingest_ray.console.quarantine_page import show_quarantine
from ingest_ray.console.run_page import show_run
from ingest_ray.console.runs_page import show_runs
from ingest_ray.console.sinks_page import show_sinks
from ingest_ray.console.styles import CSS
from ingest_ray.console.tokens_page import show_tokens
from ingest_ray.console.units.unit_page import show_unit
from ingest_ray.console.units.units_page import show_units
from ingest_ray.sdk.errors import Unauthenticated
from ingest_ray.server.identity import Authenticator
from ingest_ray.server.plain_pages import answer_defect, answer_missing
from ingest_ray.service.installation import Installation

BUILD_S = 20.0  # a page reads the catalog before it is shown


@dataclass(frozen=True)
class Page:
    """`menu`: the text of its link in the frame; None: it is reached from another page."""

    path: str
    title: str
    show: Callable[..., Awaitable[None]]
    menu: str | None = None
    is_for_admins: bool = False


PAGES = (
    Page("/", "Overview", show_overview, "Overview"),
    Page("/endpoints", "Endpoints", show_endpoints, "Endpoints"),
    Page("/endpoint/{endpoint_id}", "Units", show_units),
    Page("/unit", "Unit", show_unit),
    Page("/runs", "Runs", show_runs, "Runs"),
    Page("/run/{run_id}", "Run", show_run),
    Page("/quarantine", "Quarantine", show_quarantine, "Quarantine"),
    Page("/datasets", "Datasets", show_datasets, "Datasets"),
    Page("/dataset", "Dataset", show_dataset),
    Page("/sinks", "Sinks", show_sinks, "Sinks"),
    Page("/tokens", "Tokens", show_tokens, "Tokens", is_for_admins=True),
    Page("/audit", "Audit log", show_audit_log, "Audit log", is_for_admins=True),
)


def mount(app: FastAPI, installation: Installation, authenticator: Authenticator) -> None:
    async def visit(request: Request) -> PageContext | None:
        try:
            principal = await asyncio.to_thread(authenticator.principal_of, request)
        except Unauthenticated:
            return None
        caller = request.client.host if request.client is not None else "unknown"
        return PageContext(installation, principal, authenticator.renew, caller, dict(request.query_params))

    for page in PAGES:
        _add(page, visit)
    pages_app.add_exception_handler(404, answer_missing)
    pages_app.add_exception_handler(Exception, answer_defect)
    options: dict[str, Any] = {"tailwind": False, "show_welcome_message": False, "language": "en-US"}
    ui.run_with(app, mount_path="/console", title="ingest-ray", reconnect_timeout=10.0, **options)


def _add(page: Page, visit: Callable[[Request], Awaitable[PageContext | None]]) -> None:
    async def show(request: Request) -> Response | None:
        if (context := await visit(request)) is None:
            return RedirectResponse(LOGIN)
        with _frame(context, page):
            await page.show(context, **request.path_params)
        return None

    ui.page(page.path, title=f"{page.title} - ingest-ray", response_timeout=BUILD_S)(show)


@contextmanager
def _frame(context: PageContext, page: Page) -> Iterator[None]:
    ui.add_css(CSS)
    ui.colors(primary="#1f5fa8", positive="#1b6e3a", negative="#a61b1b")
    with ui.header(fixed=False).classes("top"):
        ui.link("Skip to content", "#content").classes("skip")
        ui.link("ingest-ray", "/").classes("home")
        with ui.element("nav").props('aria-label="Main"'):
            for other in PAGES:
                if other.menu is not None and (context.is_admin or not other.is_for_admins):
                    link = ui.link(other.menu, other.path)
                    if other is page:
                        link.props('aria-current="page"')
            if context.is_admin:
                with ui.element("a").props('href="/graphiql"'):  # of the server: it has no part of the console's path
                    text_of("GraphQL")
        text_of(f"{context.principal.name} ({context.principal.role})", classes="who")
        with ui.element("form").props('method="post" action="/logout"'):
            with ui.element("button").props('type="submit"'):
                text_of("Log out")
    with ui.element("div").classes("page").props('id="content" tabindex="-1"'):
        yield
