"""Maintains the tables of units: fewer and larger files, the removal of unneeded ones, and another layout."""

from collections.abc import Callable, Sequence

from pydantic import JsonValue

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.model_tables import tables_of
from ingest_ray.engine.steps.recovery import check_sink
from ingest_ray.engine.steps.unit_layout import renamed_target, table_schema, unit_key_of
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.kv import open_state
from ingest_ray.process.failpoints import reached
from ingest_ray.registry import open_models, open_sink
from ingest_ray.run.staging_area import staging_for
from ingest_ray.sdk.errors import ModeUnsupported
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, Target
from ingest_ray.secrets import resolve
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.gate import gate
from ingest_ray.service.units.launch_catalog import LaunchCatalog
from ingest_ray.service.units.selection import select_units
from ingest_ray.sinks.maintenance import LayoutChange, MaintenanceReport, TableMaintenance
from ingest_ray.state.lease import this_process
from ingest_ray.state.writer import StateWriter


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


def keep_up(order: RunOrder) -> list[MaintenanceReport]:
    """Compacts the tables of one unit, then deletes what no version of the last week has.

    Raises:
        ModeUnsupported: the sink's tables are not made of files.
    """
    sink, reports = _open_sink(order), []
    for target in _targets(order):
        reports.append(sink.compact(target))
        reached("upkeep:compacted")
        reports.append(sink.vacuum(target))
    return reports


def maintenance_facts(reports: Sequence[MaintenanceReport]) -> dict[str, JsonValue]:
    """Counts of files and bytes, over all reports."""
    names = ("files_added", "files_removed", "bytes_added", "bytes_removed")
    return {name: sum(getattr(report, name) for report in reports) for name in names}


def relayout(installation: Installation, endpoint_id: str, unit_ids: Sequence[str]) -> list[MaintenanceResult]:
    """Writes the tables of units again in the layouts of their policies, each in one commit under the unit's lease.

    Of several units, those without `policy.layout` are left out.

    Raises:
        RunActive: a unit has a live run.
        ModeUnsupported: no unit has a layout, or a sink has none.
    """
    launch_catalog = LaunchCatalog()
    wanted = select_units(installation, endpoint_id, unit_ids)
    orders = [gate(installation, UnitRef(endpoint_id, unit_id), launch_catalog=launch_catalog) for unit_id in wanted]
    laid_out = [order for order in orders if order.spec.policy.layout is not None]
    if not laid_out:
        raise ModeUnsupported(
            f"unit '{orders[0].ref}' has no layout", hint="set policy.layout in its rule, then apply: docs/layout.md"
        )
    sinks = [(order, _layout_sink(order)) for order in laid_out]
    return [
        MaintenanceResult(
            endpoint_id=endpoint_id,
            unit_id=order.spec.unit_id,
            sink_id=order.spec.config.sink_id,
            report=report,
        )
        for order, sink in sinks
        for report in _relayout(order, sink)
    ]


def _relayout(order: RunOrder, sink: LayoutChange) -> list[MaintenanceReport]:
    """Of the unit's table, or of those of its models."""
    state = StateWriter.begin(
        open_state(order.settings), unit_key_of(order), order.run_id, this_process(), settings=order.settings
    )
    try:
        check_sink(state, writer_for(order, staging_for(order)))
        state.note_opening()
        tables = [renamed_target(order, table_schema(order.spec))]
        if order.spec.is_cdm:
            tables = [(table.target, table.schema) for table in tables_of(order.spec, order.run_id)]
        return [sink.relayout(target, schema, state.epoch) for target, schema in tables]
    finally:
        state.end()


def _layout_sink(order: RunOrder) -> LayoutChange:
    open_endpoint = open_models if order.spec.is_cdm else open_sink
    sink = open_endpoint(resolve(order.sink, order.settings, run_id=order.run_id))
    if not isinstance(sink, LayoutChange):
        raise ModeUnsupported(f"sink '{order.sink.endpoint_id}' ({order.sink.template}) has no layouts")
    return sink


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
    if order.spec.is_cdm:
        return [table.target for table in tables_of(order.spec)]
    return [renamed_target(order, table_schema(order.spec))[0]]


def _open_sink(order: RunOrder) -> TableMaintenance:
    open_endpoint = open_models if order.spec.is_cdm else open_sink
    sink = open_endpoint(resolve(order.sink, order.settings, run_id=order.run_id))
    if not isinstance(sink, TableMaintenance):
        raise ModeUnsupported(
            f"sink '{order.sink.endpoint_id}' ({order.sink.template}) has no files to maintain",
            hint="databases maintain their tables themselves",
        )
    return sink
