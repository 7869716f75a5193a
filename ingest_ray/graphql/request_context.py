"""The context of one request: who sends it, the installation, and what it has loaded already; and calls of use cases."""

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
    """`principal` is None for a WebSocket that has not authenticated yet."""

    def __init__(self, installation: Installation, principal: Principal | None) -> None:
        super().__init__()
        self.installation = installation
        self.principal = principal
        self.loaders = Loaders(installation)


RequestInfo = Info[RequestContext, None]


async def call_as_viewer(info: RequestInfo, use_case: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Calls a use case in a thread. For what every principal may read."""
    return await _call(info, Role.VIEWER, use_case, *arguments, **options)


async def call_as_admin(info: RequestInfo, use_case: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Calls a use case in a thread, and logs who did. For what changes something or shows rows: admins only."""
    principal = principal_of(info)
    require_role(principal, Role.ADMIN, f"call {info.field_name}")
    log.info("%s by %s", info.field_name, principal.name)
    return await _call(info, Role.ADMIN, use_case, *arguments, **options)


def principal_of(info: RequestInfo) -> Principal:
    """Raises `Unauthenticated`."""
    principal = info.context.principal
    if principal is None:
        raise Unauthenticated("who is asking?", hint="send a bearer token")
    return principal


async def _call(info: RequestInfo, role: Role, use_case: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    require_role(principal_of(info), role, f"call {info.field_name}")
    return await asyncio.to_thread(partial(use_case, *arguments, **options))
