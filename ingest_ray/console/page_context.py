"""The context of one page: its principal and installation, and calls of use cases whose errors are shown on the page."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ParamSpec, TypeVar

from nicegui import ui

from ingest_ray import logs
from ingest_ray.console.elements import heading, note, readable
from ingest_ray.sdk.errors import ConfigError, GateError, IngestError, RoleForbidden, Unauthenticated
from ingest_ray.service.access.audit import Attempt, audited, begin_entry
from ingest_ray.service.access.roles import Principal, Role, require_endpoints, require_role
from ingest_ray.service.access.scope import visible_endpoints
from ingest_ray.service.installation import Installation

LOGIN = "/login"
MISSING = "There is no such {what}, or it cannot be read."

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Action:
    """`name`: as GraphQL and the audit log call it. `is_audited` False: it changes nothing. `also`: other endpoints that it is about.
    `details`: what the audit log keeps of its arguments."""

    name: str
    endpoint_id: str | None
    role: Role = Role.ADMIN
    is_audited: bool = True
    also: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


class PageContext:
    """An open page may outlive the access of its principal, so each call renews it with `renew`. `caller`: the address of the browser.
    `query`: the query of the page's address."""

    def __init__(
        self,
        installation: Installation,
        principal: Principal,
        renew: Callable[[Principal], Principal],
        caller: str,
        query: Mapping[str, str] | None = None,
    ) -> None:
        self.query = query or {}
        self.installation = installation
        self.principal = principal
        self._renew = renew
        self._caller = caller

    @property
    def is_admin(self) -> bool:
        return self.principal.may(Role.ADMIN)

    @property
    def is_operator(self) -> bool:
        return self.principal.may(Role.OPERATOR)

    async def visible_endpoints(self) -> frozenset[str] | None:
        """The ids that the principal may see; None: all."""
        return await asyncio.to_thread(visible_endpoints, self.installation, self.principal)

    async def call(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T | None:
        """Calls a use case in a thread. Shows an `IngestError` on the page, and returns None; without access it shows the login."""
        try:
            return await self._renewed_call(work, *arguments, **options)
        except IngestError as error:
            show_error(error)
            return None

    async def find(
        self, what: str, endpoint_id: str | None, work: Callable[P, T], *arguments: P.args, **options: P.kwargs
    ) -> T | None:
        """As `call`, for the object of a page: where there is none, the page says so, with the same words where the principal may not
        see its endpoint, and its status is 404."""
        try:
            if endpoint_id is None or self.principal.is_for(endpoint_id):
                return await self._renewed_call(work, *arguments, **options)
            message = MISSING.format(what=what)
        except (GateError, ConfigError):
            message = MISSING.format(what=what)
        except IngestError as error:
            message = f"{logs.scrub(error.message)} [{error.code}]"
        ui.context.client.status_code = 404
        heading(what.capitalize(), 1)
        note(message)
        return None

    async def _renewed_call(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T | None:
        try:
            self.principal = await asyncio.to_thread(self._renew, self.principal)
            return await asyncio.to_thread(partial(work, *arguments, **options))
        except Unauthenticated:
            ui.navigate.to(LOGIN)
            return None

    async def act(self, action: Action, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T | None:
        """As `call`, for an action. Checks the role again, although the page shows only the buttons that its principal may press."""
        return await self.call(self._checked, action, partial(work, *arguments, **options))

    def _checked(self, action: Action, work: Callable[[], T]) -> T:
        attempt = Attempt(
            principal=self.principal,
            source=f"{self._caller}, console",
            action=action.name,
            endpoint_id=action.endpoint_id,
            details=dict(action.details),
        )
        try:
            require_role(self.principal, action.role, f"call {action.name}")
            about = [action.endpoint_id] if action.endpoint_id is not None else []
            require_endpoints(self.principal, [*about, *action.also])
        except RoleForbidden as error:
            if action.is_audited:
                begin_entry(self.installation, attempt, "refused", error.code)
            raise
        if not action.is_audited:
            return work()
        with audited(self.installation, attempt):
            return work()


def show_error(error: IngestError) -> None:
    hint = f" {logs.scrub(error.hint)}" if error.hint else ""
    ui.notify(
        readable(f"{logs.scrub(error.message)} [{error.code}]{hint}"),
        type="negative",
        timeout=12_000,
        close_button="Close",
        multi_line=True,
    )


def show_message(text: str) -> None:
    ui.notify(readable(text), type="positive", timeout=4_000)
