"""Derives schema, target and state key of a unit from its configuration and its dataset."""

import pyarrow as pa

from ingest_ray.engine.masking.masked_dataset import masked_dataset
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.kv.keys import unit_key
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.changes import LSN, with_changes
from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.types import Endpoint, Slice, Target, UnitSpec, WriteMode
from ingest_ray.secrets import resolve
from ingest_ray.sinks.provenance import INGESTED_AT
from ingest_ray.state.sealed_secrets import open_source


def staged_schema(spec: UnitSpec) -> pa.Schema:
    """The one schema of all batches of a unit, with its masks."""
    return schema_of(masked_dataset(spec), spec.policy.columns or None)


def table_schema(spec: UnitSpec) -> pa.Schema:
    """The columns of the unit's table in its sink, without provenance: of changes that are appended, those of a change too."""
    schema = staged_schema(spec)
    return with_changes(schema) if spec.reads_log and spec.write_mode is WriteMode.APPEND else schema


def slice_schema(spec: UnitSpec, piece: Slice) -> pa.Schema:
    """The schema of the batches of one slice: a slice of the log has the columns of a change."""
    return with_changes(staged_schema(spec)) if piece.axis.kind == "log" else table_schema(spec)


def followed_cursor(spec: UnitSpec) -> str | None:
    """What the watermarks of the unit belong to: its cursor, or the log."""
    return LSN if spec.reads_log else spec.policy.cursor


def target_of(order: RunOrder) -> Target:
    """The version of an upsert is the cursor. A repair has none: it brings the source's row whatever version the sink has. A
    replay to a unit without a cursor brings old rows: what was read after them stays."""
    spec = order.spec
    write = spec.write_mode
    version = (None if spec.reads_log else spec.policy.cursor) or (INGESTED_AT if order.task == "replay" else None)
    return Target(
        sink_id=spec.config.sink_id,
        endpoint_id=spec.endpoint.endpoint_id,
        unit_id=spec.unit_id,
        app_id=f"ingest_ray:{spec.ref}",
        write=write,
        key=spec.key if write.merges else (),
        version_column=version if write.merges and order.task != "repair" else None,
        run_id=order.run_id,
        table=spec.config.table,
        deletes=spec.deletes,
        layout=spec.policy.layout,
    )


def renamed_target(order: RunOrder, schema: pa.Schema) -> tuple[Target, pa.Schema]:
    """The target and the columns by the names that they have in the sink: `policy.rename`."""
    names, target = order.spec.policy.renames, target_of(order)
    layout = target.layout.renamed(names) if target.layout is not None else None
    key = tuple(names.get(name, name) for name in target.key)
    renamed = pa.schema([field.with_name(names.get(field.name, field.name)) for field in schema])
    return target.model_copy(update={"layout": layout, "key": key}), renamed


def system_of(spec: UnitSpec) -> str:
    """The source system in the ids of the common data model."""
    return spec.config.cdm.system or spec.endpoint.endpoint_id


def unit_key_of(order: RunOrder) -> str:
    """The KV key of the state of a unit and sink."""
    vendor = strategy_for(order.spec.endpoint.template).descriptor.vendor
    return unit_key(vendor, order.ref, order.spec.config.sink_id)


def opened_spec(order: RunOrder) -> UnitSpec:
    """The unit with resolved secrets in its endpoint; never leaves this process."""
    return order.spec.model_copy(
        update={"endpoint": open_source(order.spec.endpoint, order.settings, run_id=order.run_id)}
    )


def opened_sink(order: RunOrder) -> Endpoint:
    """The sink's endpoint with resolved secrets; never leaves this process."""
    return resolve(order.sink, order.settings, run_id=order.run_id)
