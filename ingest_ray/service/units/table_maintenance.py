"""Maintains the tables of units: fewer and larger files, and the removal of unneeded ones."""

from collections.abc import Callable, Sequence

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.model_tables import tables_of
from ingest_ray.engine.steps.unit_layout import target_of
from ingest_ray.registry import open_models, open_sink
from ingest_ray.sdk.errors import ModeUnsupported
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, Target
from ingest_ray.secrets import resolve
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.gate import gate
from ingest_ray.service.units.launch_catalog import LaunchCatalog
from ingest_ray.service.units.selection import select_units
from ingest_ray.sinks.maintenance import MaintenanceReport, TableMaintenance


class MaintenanceResult(Model):
    endpoint_id: str
    unit_id: str
    sink_id: str
    report: MaintenanceReport

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


def compact(installation: Installation, endpoint_id: str, unit_ids: Sequence[str]) -> list[MaintenanceResult]:
    return _maintain(installation, endpoint_id, unit_ids, lambda sink, target: sink.compact(target))


def vacuum(
    installation: Installation, endpoint_id: str, unit_ids: Sequence[str], keep_h: int, rehearse: bool
) -> list[MaintenanceResult]:
    return _maintain(
        installation, endpoint_id, unit_ids, lambda sink, target: sink.vacuum(target, keep_h=keep_h, rehearse=rehearse)
    )


def _maintain(
    installation: Installation,
    endpoint_id: str,
    unit_ids: Sequence[str],
    work: Callable[[TableMaintenance, Target], MaintenanceReport],
) -> list[MaintenanceResult]:
    """Units are ids or patterns. Raises the gate's errors, and `ModeUnsupported` for a sink whose tables are not made of files; nothing is done then."""
    launch_catalog = LaunchCatalog()
    wanted = select_units(installation, endpoint_id, unit_ids)
    orders = [gate(installation, UnitRef(endpoint_id, unit_id), launch_catalog=launch_catalog) for unit_id in wanted]
    sinks = [(order, _open_sink(order)) for order in orders]
    return [
        MaintenanceResult(
            endpoint_id=endpoint_id,
            unit_id=order.spec.unit_id,
            sink_id=order.spec.config.sink_id,
            report=work(sink, target),
        )
        for order, sink in sinks
        for target in _targets(order)
    ]


def _targets(order: RunOrder) -> list[Target]:
    """The unit's table, or those of its models."""
    return [table.target for table in tables_of(order.spec)] if order.spec.is_cdm else [target_of(order)]


def _open_sink(order: RunOrder) -> TableMaintenance:
    open_endpoint = open_models if order.spec.is_cdm else open_sink
    sink = open_endpoint(resolve(order.sink, order.settings, run_id=order.run_id))
    if not isinstance(sink, TableMaintenance):
        raise ModeUnsupported(
            f"sink '{order.sink.endpoint_id}' ({order.sink.template}) has no files to maintain",
            hint="databases maintain their tables themselves",
        )
    return sink
