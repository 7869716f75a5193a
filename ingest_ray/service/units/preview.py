"""Reads a few rows of a unit directly from the source."""

import base64
import datetime as dt
import decimal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from ingest_ray.engine.masking.masked_dataset import check_masks
from ingest_ray.engine.masking.masked_source import masked_table
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, UnitSpec
from ingest_ray.secrets.mask_key import read_mask_key
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.configs import find_configs
from ingest_ray.service.units.gate import find_dataset
from ingest_ray.state.sealed_secrets import open_source
from ingest_ray.state.shared_permits import sharing_permits

if TYPE_CHECKING:
    import pyarrow as pa


class PreviewRows(Model):
    endpoint_id: str
    unit_id: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[dict[str, JsonValue], ...]


def preview(installation: Installation, unit: UnitRef, limit: int = 10) -> PreviewRows:
    """Needs the dataset in the catalog; the unit need not be enabled. Columns that the unit masks are masked."""
    table = preview_table(installation, unit, limit)
    return PreviewRows(
        endpoint_id=unit.endpoint_id,
        unit_id=unit.unit_id,
        columns=tuple(table.column_names),
        types=tuple(str(field.type) for field in table.schema),
        rows=tuple({name: json_value(value) for name, value in row.items()} for row in table.to_pylist()),
    )


def preview_table(installation: Installation, unit: UnitRef, limit: int = 10) -> "pa.Table":
    """As `preview`, as an Arrow table."""
    entry, dataset = find_dataset(installation, unit)
    endpoint = open_source(entry.endpoint, installation.settings)
    with sharing_permits(installation.settings):
        table = strategy_for(endpoint.template).preview(endpoint, dataset, limit)
    found = find_configs(installation, [unit]).get(unit)
    if found is not None:
        spec = UnitSpec(endpoint=entry.endpoint, dataset=dataset, config=found.config)
        check_masks(spec)
        table = masked_table(table, spec, lambda: read_mask_key(installation.settings, creates=True))
    return table.slice(0, limit)


def json_value(value: Any) -> JsonValue:
    """The JSON form of a value: exact numbers and times as text, bytes as base64."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if value == value and abs(value) != float("inf") else str(value)
        case bytes():
            return "base64:" + base64.b64encode(value).decode()
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case decimal.Decimal() | dt.timedelta():
            return str(value)
        case Mapping():
            return {str(key): json_value(item) for key, item in value.items()}
        case list() | tuple():
            return [json_value(item) for item in value]
        case _:
            return str(value)
