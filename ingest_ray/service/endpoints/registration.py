"""Registers, changes, removes and finds endpoints one at a time; `apply` does the same for a file."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa
from pydantic import JsonValue, TypeAdapter, ValidationError

from ingest_ray.catalog import endpoints, unit_configs
from ingest_ray.catalog.endpoints import EndpointDescription, Registration
from ingest_ray.config.document import EndpointId
from ingest_ray.sdk.errors import ConfigError, DuplicateEndpoint, EndpointInUse, EndpointNotFound
from ingest_ray.sdk.types import Model
from ingest_ray.secrets import seal
from ingest_ray.service.endpoints.apply import refuse_while_running
from ingest_ray.service.endpoints.connection_test import checked_endpoint, test_and_describe
from ingest_ray.service.endpoints.public_view import capabilities_of
from ingest_ray.service.endpoints.secret_sources import check_secrets_are_given, check_sources
from ingest_ray.service.endpoints.templates import descriptor_of
from ingest_ray.service.installation import Installation

_ID: TypeAdapter[str] = TypeAdapter(EndpointId)


class EndpointDraft(Model):
    """An endpoint to register. `source_id` None: derived from the name."""

    source_id: str | None = None
    template: str
    config: dict[str, JsonValue]
    about: EndpointDescription


def register(installation: Installation, draft: EndpointDraft, *, tested: bool = True) -> Registration:
    """Registers a source or a sink after a connection test.

    Raises:
        DuplicateEndpoint: the id is taken.
        ConfigError: names the field.
        ConnectionTestFailed: nothing was registered; not where `tested` is False.
    """
    endpoint_id = id_of(draft)
    role, descriptor = descriptor_of(draft.template)
    check_sources(installation, draft.template, draft.config)
    with installation.catalog.read() as connection:
        _refuse_taken(connection, endpoint_id)
    endpoint = checked_endpoint(installation, endpoint_id, draft.template, draft.config)
    about = test_and_describe(installation, endpoint, draft.about) if tested else draft.about
    with installation.catalog.begin(is_alone=True) as connection:
        _refuse_taken(connection, endpoint_id)
        sealed = seal(endpoint.config, descriptor.config_model, installation.settings)
        entry = Registration(
            endpoint=endpoint.model_copy(update={"config": sealed}),
            role=role,
            vendor=descriptor.vendor,
            origin="api",
            about=about,
        )
        endpoints.save(connection, entry)
    return find_endpoint(installation, endpoint_id)


def id_of(draft: EndpointDraft) -> str:
    """The id that the endpoint gets. Raises `ConfigError` for one that cannot be."""
    return _checked_id(draft.source_id or _slug(draft.about.name or ""))


def update(
    installation: Installation,
    endpoint_id: str,
    about: Mapping[str, Any],
    config: Mapping[str, JsonValue] | None = None,
    *,
    tested: bool = True,
) -> Registration:
    """Changes the fields of `about`, and of the configuration those that are given: None removes one.

    Secrets cannot be read back, so those that are not given stay as they are; not where the address changes.
    """
    entry = _find_registered(installation, endpoint_id)
    changed = entry.about.model_copy(update=dict(about))
    if config is None:
        with installation.catalog.begin(is_alone=True) as connection:
            endpoints.describe(connection, endpoint_id, changed)
        return find_endpoint(installation, endpoint_id)
    check_sources(installation, entry.endpoint.template, config)
    merged = {name: value for name, value in {**entry.endpoint.config, **config}.items() if value is not None}
    check_secrets_are_given(installation, entry, config, merged)
    endpoint = checked_endpoint(installation, endpoint_id, entry.endpoint.template, merged)
    if tested:
        changed = test_and_describe(installation, endpoint, changed)
    _, descriptor = descriptor_of(entry.endpoint.template)
    with installation.catalog.begin(is_alone=True) as connection:
        refuse_while_running(connection, installation, endpoint_id)
        sealed = seal(endpoint.config, descriptor.config_model, installation.settings, previous=entry.endpoint.config)
        new = entry.endpoint.model_copy(update={"config": sealed})
        endpoints.save(connection, entry.model_copy(update={"endpoint": new, "about": changed}))
    return find_endpoint(installation, endpoint_id)


def delete(installation: Installation, endpoint_id: str, reason: str | None = None) -> None:
    """Removes an endpoint; its datasets, runs and checkpoints stay.

    Raises:
        EndpointInUse: it has a live run, or units write to it, or units of it are enabled.
    """
    entry = _find_registered(installation, endpoint_id)
    with installation.catalog.begin(is_alone=True) as connection:
        refuse_while_running(connection, installation, endpoint_id)
        if entry.role == "sink":
            used = [
                item.config
                for item in unit_configs.listed(connection)
                if endpoint_id in (item.config.sink_id, item.config.sink_endpoint_id)
            ]
        else:
            used = [item.config for item in unit_configs.listed(connection, endpoint_id) if item.config.enabled]
        if used:
            raise EndpointInUse(
                f"endpoint '{endpoint_id}' is used by {len(used)} unit(s), such as '{used[0].ref}'",
                hint="disable them, or give them another sink, first",
            )
        endpoints.describe(connection, endpoint_id, entry.about.model_copy(update={"deletion_reason": reason}))
        endpoints.remove(connection, endpoint_id)


def find_endpoint(installation: Installation, endpoint_id: str) -> Registration:
    """An endpoint of either role, also a removed one. Raises `EndpointNotFound`."""
    with installation.catalog.read() as connection:
        found = endpoints.known(connection, [endpoint_id])
    if endpoint_id not in found:
        raise EndpointNotFound(f"endpoint '{endpoint_id}' is not registered")
    return found[endpoint_id]


def find_endpoints(installation: Installation, endpoint_ids: Collection[str]) -> dict[str, Registration]:
    with installation.catalog.read() as connection:
        return endpoints.known(connection, endpoint_ids)


def search_endpoints(
    installation: Installation,
    *,
    project: str | None = None,
    capability: str | None = None,
    text: str | None = None,
    within: Collection[str] | None = None,
    after: str | None = None,
    first: int = 50,
) -> list[Registration]:
    """The matching endpoints by id. `text` is a part of id, name or description."""
    with installation.catalog.read() as connection:
        found = endpoints.listed(connection)
    wanted = text.lower() if text else ""
    kept = [
        entry
        for entry in found
        if (within is None or entry.endpoint.endpoint_id in within)
        and (project is None or entry.about.project == project)
        and (capability is None or capability in capabilities_of(entry))
        and (after is None or entry.endpoint.endpoint_id > after)
        and wanted
        in " ".join([entry.endpoint.endpoint_id, entry.about.name or "", entry.about.description or ""]).lower()
    ]
    return kept[:first]


def _checked_id(text: str) -> str:
    try:
        return _ID.validate_python(text)
    except ValidationError:
        raise ConfigError(
            f"sourceId: '{text}' is no id",
            hint="up to 100 letters, digits, '.', '_' and '-', beginning with one of the first two",
        ) from None


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:100]


def _refuse_taken(connection: sa.Connection, endpoint_id: str) -> None:
    found = endpoints.known(connection, [endpoint_id]).get(endpoint_id)
    if found is not None and found.deleted_at is None:
        raise DuplicateEndpoint(f"sourceId: '{endpoint_id}' is registered already", hint="choose another id")


def _find_registered(installation: Installation, endpoint_id: str) -> Registration:
    entry = find_endpoint(installation, endpoint_id)
    if entry.deleted_at is not None:
        raise EndpointNotFound(f"endpoint '{endpoint_id}' was removed")
    return entry
