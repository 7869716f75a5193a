"""Which policies a unit of an Atlassian product can have."""

from typing import Any

from ingest_ray.sdk.errors import ConfigError, ModeUnsupported
from ingest_ray.sdk.types import RunMode, UnitSpec
from ingest_strategies.atlassian.tables import Table


def check_policy(spec: UnitSpec, table: Table[Any], where_hint: str) -> None:
    """Raises `ModeUnsupported` or `ConfigError`. `where_hint` names what narrows a unit instead of `policy.where`."""
    policy, unit_id = spec.policy, spec.unit_id
    if not table.is_unit:
        raise ModeUnsupported(f"'{unit_id}' feeds filter options and is no unit")
    if policy.where is not None:
        raise ConfigError(f"{unit_id}: policy.where is for SQL", hint=where_hint)
    if spec.config.run_mode is RunMode.FULL:
        return
    if table.cursor is None:
        raise ModeUnsupported(f"{unit_id} has no time of change", hint="run_mode: FULL")
    if policy.cursor not in (None, table.cursor):
        raise ConfigError(f"{unit_id}: policy.cursor can only be '{table.cursor}'")
    if policy.write is not None and not policy.write.merges:
        raise ModeUnsupported(
            f"{unit_id}: an incremental run reads its look-back again: rows would be doubled",
            hint="write: upsert",
        )
    if policy.primary_key not in ((), table.key):
        raise ConfigError(f"{unit_id}: policy.primary_key can only be '{', '.join(table.key)}'")
