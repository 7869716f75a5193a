"""Checks that a unit's layout suits its dataset and its sink."""

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_layout import renamed_target, table_schema
from ingest_ray.sdk.errors import ConfigError, ModeUnsupported, SinkRejected
from ingest_ray.sdk.types import UnitSpec
from ingest_ray.service.units.launch_catalog import LaunchCatalog
from ingest_ray.sinks.maintenance import LayoutChange
from ingest_ray.sinks.provenance import INGESTED_AT


def check_layout(order: RunOrder, launch_catalog: LaunchCatalog) -> None:
    """Raises `ConfigError`, naming unit, field and entry, and `ModeUnsupported` where the unit's sink has no layouts."""
    spec = order.spec
    if spec.policy.layout is None:
        return
    if spec.is_cdm:
        raise ConfigError(
            f"unit '{spec.ref}': policy.layout has no effect in CDM mode, where tables are shared by units",
            hint="leave it out",
        )
    sink = launch_catalog.sink(order.sink, order.settings)
    if not isinstance(sink, LayoutChange):
        raise ModeUnsupported(
            f"unit '{spec.ref}': policy.layout: sinks of template '{order.sink.template}' have no layouts",
            hint="leave it out; or choose lake.delta, lake.iceberg or lake.parquet",
        )
    _check_columns(spec)
    target, schema = renamed_target(order, table_schema(spec))
    try:
        sink.check_layout(target, schema)
    except SinkRejected as error:
        raise ConfigError(f"unit '{spec.ref}': policy.{error.message}", hint=error.hint) from error


def _check_columns(spec: UnitSpec) -> None:
    """By the source's names."""
    layout = spec.policy.layout
    assert layout is not None
    read = spec.policy.columns
    known = [column.name for column in spec.dataset.columns if not read or column.name in read]
    named = [(f"partition_by: '{one}'", one.column) for one in layout.partitions or ()]
    named += [(f"cluster_by: '{name}'", name) for name in layout.cluster_by]
    for entry, column in named:
        if column and column not in (*known, INGESTED_AT):
            raise ConfigError(
                f"unit '{spec.ref}': policy.layout.{entry} names column '{column}', which the unit does not have",
                hint=f"columns: {', '.join(known[:30])}",
            )
