"""The context of one page: its principal and installation, and calls of use cases whose errors are shown on the page."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

from nicegui import ui

from ingest_ray import logs
from ingest_ray.console.elements import readable
from ingest_ray.sdk.errors import IngestError, RoleForbidden, Unauthenticated
from ingest_ray.service.access.audit import Attempt, audited, begin_entry
from ingest_ray.service.access.roles import Principal, Role, require_endpoints, require_role
from ingest_ray.service.installation import Installation

LOGIN = "/login"

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Action:
    """`name`: as GraphQL and the audit log call it. `is_audited` False: it changes nothing. `also`: other endpoints that it is about."""

    name: str
    endpoint_id: str
    role: Role = Role.ADMIN
    is_audited: bool = True
    also: tuple[str, ...] = ()


class PageContext:
    """An open page may outlive the access of its principal, so each call renews it with `renew`. `caller`: the address of the browser."""

    def __init__(
        self, installation: Installation, principal: Principal, renew: Callable[[Principal], Principal], caller: str
    ) -> None:
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

    async def call(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T | None:
        """Calls a use case in a thread. Shows an `IngestError` on the page, and returns None; without access it shows the login."""
        try:
            self.principal = await asyncio.to_thread(self._renew, self.principal)
            return await asyncio.to_thread(partial(work, *arguments, **options))
        except Unauthenticated:
            ui.navigate.to(LOGIN)
            return None
        except IngestError as error:
            show_error(error)
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
        )
        try:
            require_role(self.principal, action.role, f"call {action.name}")
            require_endpoints(self.principal, [action.endpoint_id, *action.also])
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
