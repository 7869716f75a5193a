"""Derives schema, target and state key of a unit from its configuration and its dataset."""

import pyarrow as pa

from ingest_ray.engine.masking.masked_dataset import masked_dataset
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.kv.keys import unit_key
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.types import Endpoint, Target, UnitSpec, WriteMode
from ingest_ray.secrets import resolve
from ingest_ray.sinks.provenance import INGESTED_AT
from ingest_ray.state.sealed_secrets import open_source


def staged_schema(spec: UnitSpec) -> pa.Schema:
    """The one schema of all batches of a unit, with its masks."""
    return schema_of(masked_dataset(spec), spec.policy.columns or None)


def target_of(order: RunOrder) -> Target:
    """The version of an upsert is the cursor. A repair has none: it brings the source's row whatever version the sink has. A
    replay to a unit without a cursor brings old rows: what was read after them stays."""
    spec = order.spec
    write = spec.write_mode
    version = spec.policy.cursor or (INGESTED_AT if order.task == "replay" else None)
    return Target(
        sink_id=spec.config.sink_id,
        endpoint_id=spec.endpoint.endpoint_id,
        unit_id=spec.unit_id,
        app_id=f"ingest_ray:{spec.ref}",
        write=write,
        key=spec.key if write is WriteMode.UPSERT else (),
        version_column=version if write is WriteMode.UPSERT and order.task != "repair" else None,
        run_id=order.run_id,
        table=spec.config.table,
    )


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
