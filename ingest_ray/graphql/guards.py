"""The guard of every field of Query and Mutation: role, endpoints, and for mutations the audit log.

A mutation that is not named here needs the role admin.
"""

import asyncio
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from strawberry.extensions import FieldExtension
from strawberry.extensions.field_extension import AsyncExtensionResolver

from ingest_ray.graphql.request_context import RequestInfo
from ingest_ray.sdk.errors import EndpointNotFound, IngestError, RoleForbidden, SinkMissing
from ingest_ray.service.access.audit import Attempt, begin_entry, end_entry
from ingest_ray.service.access.roles import Principal, Role, require_endpoints, require_role

ROLES: Mapping[str, Role] = {
    "ingestion_plan": Role.OPERATOR,
    "start_ingestion": Role.OPERATOR,
    "start_ingestion_units": Role.OPERATOR,
    "pause_ingestion": Role.OPERATOR,
    "audit_log": Role.ADMIN,
}
_ID_OF_ENDPOINT = ("endpoint", "update_endpoint", "delete_endpoint")
_ID_OF_DATASET = ("metadata_dataset", "preview_metadata_dataset")
_NAMES_ONLY = ("config", "connection", "policy", "filters", "jira_filter", "confluence_filter")
"""Of these arguments the log gets the names of the fields: values may be secrets."""


class Guard(FieldExtension):
    def __init__(self, role: Role, *, is_audited: bool) -> None:
        self._role = role
        self._is_audited = is_audited

    async def resolve_async(
        self, next_: AsyncExtensionResolver, source: Any, info: RequestInfo, **arguments: Any
    ) -> Any:
        principal = await info.context.current_principal()
        name = info.python_name
        named = list(endpoints_of(name, arguments))
        if not self._is_audited:
            self._check(principal, info, named)
            return await _without_other_ids(principal, next_(source, info, **arguments))
        installation = info.context.installation
        attempt = Attempt(
            principal=principal,
            source=info.context.caller,
            action=info.field_name,
            endpoint_id=named[0] if named else None,
            details=dict(details_of(arguments)),
        )
        try:
            self._check(principal, info, named)
        except RoleForbidden as error:
            await asyncio.to_thread(begin_entry, installation, attempt, "refused", error.code)
            raise
        entry_id = await asyncio.to_thread(begin_entry, installation, attempt)
        try:
            result = await _without_other_ids(principal, next_(source, info, **arguments))
        except asyncio.CancelledError:  # the caller is gone; its action may go on in its thread
            raise
        except BaseException as error:
            await asyncio.to_thread(end_entry, installation, entry_id, error)
            raise
        await asyncio.to_thread(end_entry, installation, entry_id, None)
        return result

    def _check(self, principal: Principal, info: RequestInfo, endpoint_ids: list[str]) -> None:
        require_role(principal, self._role, f"call {info.field_name}")
        require_endpoints(principal, endpoint_ids)


def guard(root: Any, role: Role, *, is_audited: bool) -> None:
    """Puts a guard before every field of a root type; `role`: that of fields that `ROLES` does not name."""
    for field in root.__strawberry_definition__.fields:
        field.extensions = [*field.extensions, Guard(ROLES.get(field.python_name, role), is_audited=is_audited)]


def endpoints_of(field: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    """The endpoints that the arguments of a field name."""
    given = arguments.get("id")
    if given is not None and field in _ID_OF_ENDPOINT:
        yield str(given)
    if given is not None and field in _ID_OF_DATASET:
        yield str(given).partition(":")[0]
    names = ("endpoint_id", "sink_endpoint_id") if field == "provision_cdm_sink" else ("endpoint_id",)
    for name, value in _leaves(arguments):
        if name in names and value is not None:
            yield str(value)


def details_of(arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What the log keeps of the arguments."""
    for name, value in _leaves(arguments):
        if value is None:
            continue
        if name in _NAMES_ONLY:
            yield name, sorted(map(str, value)) if isinstance(value, dict) else "given"
        elif name == "url":
            yield name, "given"
        else:
            yield name, value


def _leaves(arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in arguments.items():
        if name not in _NAMES_ONLY and dataclasses.is_dataclass(value):
            yield from _leaves({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield (
                name,
                {field.name: None for field in dataclasses.fields(value) if getattr(value, field.name) is not None},
            )
        else:
            yield name, value


async def _without_other_ids(principal: Principal, answer: Any) -> Any:
    """The hints of some errors list what is registered."""
    try:
        return await answer
    except IngestError as error:
        if principal.endpoints is not None and isinstance(error, EndpointNotFound | SinkMissing):
            error.hint = None
        raise
