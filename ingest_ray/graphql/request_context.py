"""One request: who asks, of which installation, and what it has read already."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from strawberry.fastapi import BaseContext
from strawberry.types import Info

from ingest_ray.graphql.loaders import Loaders
from ingest_ray.sdk.errors import Unauthenticated
from ingest_ray.service.access.roles import Principal, Role, require_role
from ingest_ray.service.installation import Installation

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class RequestContext(BaseContext):
    """`principal` None: a WebSocket that has not said who it is."""

    def __init__(self, installation: Installation, principal: Principal | None) -> None:
        super().__init__()
        self.installation = installation
        self.principal = principal
        self.loaders = Loaders(installation)


Ask = Info[RequestContext, None]


async def look(ask: Ask, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Calls a use case in a thread: for those that a viewer may see."""
    return await _called(ask, Role.VIEWER, work, *arguments, **options)


async def act(ask: Ask, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Calls a use case in a thread: for those that change something, or show rows; an admin's."""
    principal = who(ask)
    require_role(principal, Role.ADMIN, f"call {ask.field_name}")
    log.info("%s by %s", ask.field_name, principal.name)
    return await _called(ask, Role.ADMIN, work, *arguments, **options)


def who(ask: Ask) -> Principal:
    principal = ask.context.principal
    if principal is None:
        raise Unauthenticated("who is asking?", hint="send a bearer token")
    return principal


async def _called(ask: Ask, role: Role, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    require_role(who(ask), role, f"call {ask.field_name}")
    return await asyncio.to_thread(partial(work, *arguments, **options))
