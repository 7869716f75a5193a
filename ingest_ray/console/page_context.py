"""The context of one page: its principal and installation, and calls of use cases whose errors are shown on the page."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from nicegui import ui

from ingest_ray import logs
from ingest_ray.sdk.errors import IngestError, Unauthenticated
from ingest_ray.service.access.roles import Principal, Role, require_role
from ingest_ray.service.installation import Installation

LOGIN = "/login"

P = ParamSpec("P")
T = TypeVar("T")


class PageContext:
    """An open page may outlive the access of its principal, so each call renews it with `renew`."""

    def __init__(
        self, installation: Installation, principal: Principal, renew: Callable[[Principal], Principal]
    ) -> None:
        self.installation = installation
        self.principal = principal
        self._renew = renew

    @property
    def is_admin(self) -> bool:
        return self.principal.role is Role.ADMIN

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

    async def call_as_admin(self, what: str, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T | None:
        """As `call`, for admins only. Checks the role again, although viewers do not see the buttons."""
        try:
            self.principal = await asyncio.to_thread(self._renew, self.principal)
            require_role(self.principal, Role.ADMIN, what)
        except Unauthenticated:
            ui.navigate.to(LOGIN)
            return None
        except IngestError as error:
            show_error(error)
            return None
        return await self.call(work, *arguments, **options)


def show_error(error: IngestError) -> None:
    hint = f" {logs.scrub(error.hint)}" if error.hint else ""
    ui.notify(
        f"{logs.scrub(error.message)} [{error.code}]{hint}",
        type="negative",
        timeout=12_000,
        close_button="Close",
        multi_line=True,
    )


def show_message(text: str) -> None:
    ui.notify(text, type="positive", timeout=4_000)
