"""Checks that a unit's layout suits its dataset and its sink, and that the sink's tables can be maintained."""

from collections.abc import Sequence

import pyarrow as pa

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.model_tables import tables_of
from ingest_ray.engine.steps.unit_layout import renamed_target, table_schema
from ingest_ray.registry import open_models
from ingest_ray.sdk.contracts import ModelSink
from ingest_ray.sdk.errors import ConfigError, ModeUnsupported, SinkRejected
from ingest_ray.sdk.types import Target, UnitSpec
from ingest_ray.secrets import resolve
from ingest_ray.service.units.launch_catalog import LaunchCatalog
from ingest_ray.sinks.maintenance import LayoutChange, TableMaintenance
from ingest_ray.sinks.provenance import INGESTED_AT


def check_layout(order: RunOrder, launch_catalog: LaunchCatalog) -> None:
    """Raises `ConfigError`, naming unit, field and entry, and `ModeUnsupported` where the unit's sink has no layouts."""
    spec = order.spec
    if spec.policy.layout is None:
        return
    sink = _open_models(order) if spec.is_cdm else launch_catalog.sink(order.sink, order.settings)
    if not isinstance(sink, LayoutChange):
        raise ModeUnsupported(
            f"unit '{spec.ref}': policy.layout: sinks of template '{order.sink.template}' have no layouts",
            hint="leave it out; or choose lake.delta, lake.iceberg or lake.parquet",
        )
    if spec.is_cdm:
        for table in tables_of(spec):
            _check_columns(spec, f"model '{table.target.model}'", table.schema.names)
            _check_in_sink(spec, sink, table.target, table.schema)
        return
    read = spec.policy.columns
    known = [column.name for column in spec.dataset.columns if not read or column.name in read]
    _check_columns(spec, "the unit", known)
    _check_in_sink(spec, sink, *renamed_target(order, table_schema(spec)))


def check_upkeep(order: RunOrder, launch_catalog: LaunchCatalog) -> None:
    """Raises `ModeUnsupported` where a schedule maintains tables that are not made of files."""
    spec = order.spec
    if all(each.task != "upkeep" for each in spec.config.task_schedules):
        return
    sink = _open_models(order) if spec.is_cdm else launch_catalog.sink(order.sink, order.settings)
    if not isinstance(sink, TableMaintenance):
        raise ModeUnsupported(
            f"unit '{spec.ref}': schedules: upkeep: sinks of template '{order.sink.template}' have no files to maintain",
            hint="leave it out: databases maintain their tables themselves",
        )


def _open_models(order: RunOrder) -> ModelSink:
    return open_models(resolve(order.sink, order.settings))


def _check_in_sink(spec: UnitSpec, sink: LayoutChange, target: Target, schema: pa.Schema) -> None:
    try:
        sink.check_layout(target, schema)
    except SinkRejected as error:
        raise ConfigError(f"unit '{spec.ref}': policy.{error.message}", hint=error.hint) from error


def _check_columns(spec: UnitSpec, what: str, known: Sequence[str]) -> None:
    """`known`: the columns of `what`, by the source's names or those of a model."""
    layout = spec.policy.layout
    assert layout is not None
    named = [(f"partition_by: '{one}'", one.column) for one in layout.partitions or ()]
    named += [(f"cluster_by: '{name}'", name) for name in layout.cluster_by]
    for entry, column in named:
        if column and column not in (*known, INGESTED_AT):
            raise ConfigError(
                f"unit '{spec.ref}': policy.layout.{entry} names column '{column}', which {what} does not have",
                hint=f"columns: {', '.join(known[:30])}",
            )
