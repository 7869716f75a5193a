"""The gate's rules for CDM mode: the unit has models and a mapper, the sink endpoint takes them and is provisioned."""

import sqlalchemy as sa

from ingest_ray.catalog import dataset_versions, endpoints
from ingest_ray.catalog.endpoints import Registration
from ingest_ray.cdm import is_accepted, mapper_for
from ingest_ray.registry import sink_family
from ingest_ray.sdk.errors import (
    CdmModeUnsupported,
    CdmSinkRefused,
    CdmSinkRequired,
    CdmSinkUnsupported,
    ConfigError,
    SinkMissing,
)
from ingest_ray.sdk.types import Dataset, Endpoint, Unit, UnitConfig, UnitSpec, WriteMode
from ingest_ray.settings import Settings


def check_unit(template: str, unit: Unit, config: UnitConfig) -> tuple[str, ...]:
    """The models that the unit feeds.

    Raises:
        CdmModeUnsupported, CdmModeUnavailable, CdmSinkRequired
    """
    if not unit.cdm_model_ids and not config.cdm.models:
        raise CdmModeUnsupported(
            f"unit '{unit.ref}' has no model of the common data model",
            hint="map its columns in ingest.yaml with cdm.models, or use mode: raw",
        )
    models = tuple(config.cdm.models) or mapper_for(template, unit.unit_id).models
    if config.sink_endpoint_id is None:
        raise CdmSinkRequired(
            f"unit '{unit.ref}' is in CDM mode and names no sink endpoint",
            hint="set sink_endpoint: ID in its rule: the sink that keeps the models",
        )
    return models


def check_sink(connection: sa.Connection, unit: Unit, sink: Registration, models: tuple[str, ...]) -> None:
    """Raises `CdmSinkRefused`, `CdmSinkUnsupported`."""
    sink_id = sink.endpoint.endpoint_id
    taken = supported_models(sink.endpoint)
    if not taken:
        raise CdmSinkRefused(f"sink '{sink_id}' ({sink.endpoint.template}) of unit '{unit.ref}' takes no CDM models")
    for model_id in models:
        if not is_accepted(model_id, taken):
            raise CdmSinkUnsupported(
                f"sink '{sink_id}' does not take model '{model_id}' of unit '{unit.ref}'",
                hint=f"it takes: {', '.join(taken)}",
            )
    for model_id in models:
        if is_provisioned_explicitly(sink.endpoint) and provisioned_dataset(connection, sink_id, model_id) is None:
            raise CdmSinkRefused(
                f"sink '{sink_id}' is not provisioned for model '{model_id}' of unit '{unit.ref}'",
                hint=f"ingest-ray provision {sink_id} {model_id}",
            )


def check_cdm_policy(spec: UnitSpec, settings: Settings) -> None:
    """Raises `ConfigError` for a policy that CDM mode cannot have."""
    name, policy = spec.ref, spec.policy
    if policy.write is WriteMode.APPEND:
        raise ConfigError(f"unit '{name}': write: append would double rows of a model", hint="leave policy.write out")
    if policy.write is WriteMode.HISTORY:
        raise ConfigError(
            f"unit '{name}': write: history keeps versions of the source's rows, and a model has one row for each of its ids",
            hint="leave policy.write out, or mode: raw",
        )
    if policy.columns and not spec.config.cdm.models:
        raise ConfigError(f"unit '{name}': policy.columns may leave out what its mapper needs", hint="leave it out")
    if policy.keep_staging and settings.staging.provider == "object-store":
        raise ConfigError(f"unit '{name}': policy.keep_staging needs files", hint="staging: {provider: files}")


def supported_models(endpoint: Endpoint) -> tuple[str, ...]:
    """The models that a sink endpoint takes: those that its configuration names, else all of its family."""
    family = sink_family(endpoint.template).descriptor
    chosen = endpoint.config.get("models")
    if family.supported_cdm_models and isinstance(chosen, list):
        return tuple(str(pattern) for pattern in chosen)
    return family.supported_cdm_models


def is_provisioned_explicitly(endpoint: Endpoint) -> bool:
    return "provision" in sink_family(endpoint.template).descriptor.capabilities


def provisioned_dataset(connection: sa.Connection, sink_id: str, model_id: str) -> Dataset | None:
    """The dataset of the model's table in the catalog."""
    label = f"cdm_model:{model_id}"
    return next((d for d in dataset_versions.current(connection, sink_id) if label in d.labels), None)


def find_sink(connection: sa.Connection, sink_id: str) -> Registration:
    registration = endpoints.find(connection, sink_id, "sink")
    if registration is None:
        known = ", ".join(entry.endpoint.endpoint_id for entry in endpoints.listed(connection, "sink")) or "none"
        raise SinkMissing(f"sink '{sink_id}' is not registered", hint=f"registered: {known}; or apply your ingest.yaml")
    return registration
