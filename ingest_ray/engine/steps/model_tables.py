"""The tables of the models that a unit feeds, as it writes to them."""

from dataclasses import replace

from ingest_ray.cdm.models import KEY, VERSION, model_of
from ingest_ray.engine.steps.mapper import mapper_of
from ingest_ray.sdk.contracts import ModelTable
from ingest_ray.sdk.types import Target, UnitSpec, WriteMode


def tables_of(spec: UnitSpec, run_id: str = "", *, is_repair: bool = False) -> tuple[ModelTable, ...]:
    """In the order of the mapper's models. A repair brings the source's rows whatever version the sink has.

    Raises:
        CdmModeUnavailable: the unit has no mapper.
    """
    tables = tuple(table_of(spec, model_id, run_id) for model_id in mapper_of(spec).models)
    if not is_repair:
        return tables
    return tuple(replace(table, target=table.target.model_copy(update={"version_column": None})) for table in tables)


def table_of(spec: UnitSpec, model_id: str, run_id: str) -> ModelTable:
    target = Target(
        sink_id=spec.config.sink_id,
        endpoint_id=spec.endpoint.endpoint_id,
        unit_id=spec.unit_id,
        app_id=f"ingest_ray:{spec.ref}:cdm",
        write=spec.write_mode,
        key=(KEY,),
        version_column=VERSION if spec.write_mode is WriteMode.UPSERT else None,
        run_id=run_id,
        model=model_id,
        deletes=spec.deletes,
        layout=spec.policy.layout,
    )
    return ModelTable(target, model_of(model_id).stored)


def provisioned_table(model_id: str, sink_id: str) -> ModelTable:
    """The table of a model before any unit writes to it."""
    target = Target(
        sink_id=sink_id, endpoint_id="", unit_id="", app_id="", write=WriteMode.UPSERT, key=(KEY,), model=model_id
    )
    return ModelTable(target, model_of(model_id).stored)
