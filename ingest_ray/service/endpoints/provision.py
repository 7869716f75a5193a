"""Creates the table of a CDM model in a sink, and publishes it to the catalog. A second call changes nothing."""

from ingest_ray.catalog import dataset_versions, endpoints
from ingest_ray.cdm import is_accepted
from ingest_ray.cdm.models import KEY, MODELS, model_of
from ingest_ray.engine.steps.model_tables import provisioned_table
from ingest_ray.registry import open_models
from ingest_ray.sdk.arrow_types import to_text
from ingest_ray.sdk.errors import CdmSinkRefused, CdmSinkUnsupported
from ingest_ray.sdk.types import Column, Dataset, Model, Provisioned
from ingest_ray.secrets import resolve
from ingest_ray.service.endpoints.public_view import public_url
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.cdm_rules import (
    find_sink,
    is_provisioned_explicitly,
    provisioned_dataset,
    supported_models,
)


class ProvisionResult(Model):
    sink_id: str
    model_id: str
    dataset_id: str
    schema_name: str
    table_name: str
    location: str
    is_new_to_catalog: bool


class SinkView(Model):
    sink_id: str
    template: str
    address: str = ""
    """Its URL or path, without secrets."""
    supported_cdm_models: tuple[str, ...] = ()
    provisioned: tuple[str, ...] | None = None
    """Models whose tables exist; None where tables are created at first use."""


def provision(installation: Installation, sink_id: str, model_id: str) -> ProvisionResult:
    """Raises `SinkMissing`, `ConfigError` for an unknown model, `CdmSinkRefused`, `CdmSinkUnsupported`, `SinkError`."""
    model_of(model_id)
    with installation.catalog.read() as connection:
        sink = find_sink(connection, sink_id)
    taken = supported_models(sink.endpoint)
    if not taken:
        raise CdmSinkRefused(f"sink '{sink_id}' ({sink.endpoint.template}) takes no CDM models")
    if not is_accepted(model_id, taken):
        raise CdmSinkUnsupported(
            f"sink '{sink_id}' does not take model '{model_id}'", hint=f"it takes: {', '.join(taken)}"
        )
    made = open_models(resolve(sink.endpoint, installation.settings)).provision(provisioned_table(model_id, sink_id))
    dataset = _model_dataset(sink_id, made)
    with installation.catalog.begin(is_alone=True) as connection:
        is_new = dataset_versions.observe(connection, dataset)
    return ProvisionResult(
        sink_id=sink_id,
        model_id=model_id,
        dataset_id=dataset.dataset_id,
        schema_name=made.schema_name,
        table_name=made.table_name,
        location=made.location,
        is_new_to_catalog=is_new,
    )


def list_sinks(installation: Installation) -> list[SinkView]:
    with installation.catalog.read() as connection:
        views = []
        for entry in endpoints.listed(connection, "sink"):
            sink_id = entry.endpoint.endpoint_id
            made = tuple(
                model_id for model_id in MODELS if provisioned_dataset(connection, sink_id, model_id) is not None
            )
            views.append(
                SinkView(
                    sink_id=sink_id,
                    template=entry.endpoint.template,
                    address=public_url(entry),
                    supported_cdm_models=supported_models(entry.endpoint),
                    provisioned=made if is_provisioned_explicitly(entry.endpoint) else None,
                )
            )
    return views


def _model_dataset(sink_id: str, made: Provisioned) -> Dataset:
    model = model_of(made.model_id)
    columns = tuple(
        Column(
            name=field.name,
            source_type=model.columns.get(field.name, "provenance"),
            arrow=to_text(field.type.storage_type if hasattr(field.type, "storage_type") else field.type),
            nullable=field.name != KEY,
            logical="json" if model.columns.get(field.name) == "json" else None,
        )
        for field in model.stored
    )
    name = f"{made.schema_name}.{made.table_name}" if made.schema_name else made.table_name
    return Dataset(
        endpoint_id=sink_id,
        name=name,
        kind="cdm",
        columns=columns,
        primary_key=(KEY,),
        description=f"table of the CDM model {made.model_id}",
        labels=(f"sink-endpoint:{sink_id}", f"cdm_model:{made.model_id}"),
        facts={"location": made.location},
    )
