"""The context of one request: who sends it, the installation, and what it has loaded already; and calls of use cases."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from starlette.websockets import WebSocket
from strawberry.fastapi import BaseContext
from strawberry.types import Info

from ingest_ray.graphql.loaders import Loaders
from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import Unauthenticated
from ingest_ray.service.access.roles import Principal, Role, require_role
from ingest_ray.service.access.scope import visible_endpoints
from ingest_ray.service.installation import Installation

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class RequestContext(BaseContext):
    """`principal` is None for a WebSocket that has not authenticated yet. `renew` verifies it again: a WebSocket may live longer
    than the access of its principal."""

    def __init__(
        self, installation: Installation, principal: Principal | None, renew: Callable[[Principal], Principal]
    ) -> None:
        super().__init__()
        self.installation = installation
        self.principal = principal
        self._renew = renew
        self.loaders = Loaders(installation)

    async def current_principal(self) -> Principal:
        """Raises `Unauthenticated`, also where the access of the principal has ended since the request or socket began."""
        if self.principal is None:
            raise Unauthenticated("who is asking?", hint="send a bearer token")
        if isinstance(self.request, WebSocket):  # an HTTP request was authenticated just now
            self.principal = await asyncio.to_thread(self._renew, self.principal)
        return self.principal

    @property
    def caller(self) -> str:
        """The address that the request comes from."""
        client = self.request.client if self.request is not None else None
        return client.host if client is not None else "unknown"

    async def visible_endpoints(self) -> frozenset[str] | None:
        """The ids that the principal may see; None: all."""
        return await asyncio.to_thread(visible_endpoints, self.installation, await self.current_principal())


RequestInfo = Info[RequestContext, None]


async def call_as_viewer(info: RequestInfo, use_case: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Calls a use case in a thread. For what every principal may read."""
    return await _call(info, Role.VIEWER, use_case, *arguments, **options)


async def call_as_admin(info: RequestInfo, use_case: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Calls a use case in a thread, and logs who did. For what changes something or shows rows: admins only."""
    return await _logged_call(info, Role.ADMIN, use_case, *arguments, **options)


async def call_as_operator(info: RequestInfo, use_case: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """As `call_as_admin`, for starting, pausing and planning."""
    return await _logged_call(info, Role.OPERATOR, use_case, *arguments, **options)


async def _logged_call(
    info: RequestInfo, role: Role, use_case: Callable[P, T], *arguments: P.args, **options: P.kwargs
) -> T:
    principal = await info.context.current_principal()
    require_role(principal, role, f"call {info.field_name}")
    log.info("%s by %s", info.field_name, principal.name)
    return await _call(info, role, use_case, *arguments, **options)


async def _call(info: RequestInfo, role: Role, use_case: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    require_role(await info.context.current_principal(), role, f"call {info.field_name}")
    with tracing.span(f"graphql {info.field_name}", {"graphql.operation.type": info.operation.operation.value}):
        return await asyncio.to_thread(partial(use_case, *arguments, **options))
