"""One visit of a page: who it is, of which installation, and calling use cases so that a page survives their errors."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from nicegui import ui

from ingest_ray import logs
from ingest_ray.sdk.errors import IngestError
from ingest_ray.service.access.roles import Principal, Role, require_role
from ingest_ray.service.installation import Installation

P = ParamSpec("P")
T = TypeVar("T")


class Visit:
    def __init__(self, installation: Installation, principal: Principal) -> None:
        self.installation = installation
        self.principal = principal

    @property
    def is_admin(self) -> bool:
        return self.principal.role is Role.ADMIN

    async def look(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T | None:
        """None after an error, which the person has been told."""
        try:
            return await asyncio.to_thread(partial(work, *arguments, **options))
        except IngestError as error:
            tell(error)
            return None

    async def act(self, what: str, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T | None:
        """An admin's; buttons that a viewer does not see are refused here, too."""
        try:
            require_role(self.principal, Role.ADMIN, what)
        except IngestError as error:
            tell(error)
            return None
        return await self.look(work, *arguments, **options)


def tell(error: IngestError) -> None:
    hint = f" {logs.scrub(error.hint)}" if error.hint else ""
    ui.notify(
        f"{logs.scrub(error.message)} [{error.code}]{hint}",
        type="negative",
        timeout=12_000,
        close_button="Close",
        multi_line=True,
    )


def say(text: str) -> None:
    ui.notify(text, type="positive", timeout=4_000)
