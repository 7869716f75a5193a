"""What a unit must be to be read from a log, whichever database it is. Makes no request."""

from ingest_ray.sdk.changes import CHANGE_COLUMNS
from ingest_ray.sdk.errors import ConfigError, ModeUnsupported
from ingest_ray.sdk.types import UnitSpec, WriteMode


def check_changes(spec: UnitSpec) -> None:
    """Raises `ModeUnsupported` or `ConfigError` for a unit that cannot be read from the log. Makes no request."""
    policy = spec.policy
    if spec.is_cdm:
        raise ModeUnsupported(f"{spec.unit_id}: changes from the log are not mapped to models", hint="mode: raw")
    if spec.write_mode is WriteMode.REPLACE:
        raise ModeUnsupported(f"{spec.unit_id}: changes cannot replace a table", hint="write: upsert or append")
    if spec.write_mode.merges and not spec.key:
        raise ModeUnsupported(f"{spec.unit_id}: changes are applied by a key", hint="primary_key, or write: append")
    if policy.where:
        raise ConfigError(f"{spec.unit_id}: field 'where': the log cannot be filtered", hint="run_mode: INCREMENTAL")
    taken = sorted(set(CHANGE_COLUMNS) & {column.name for column in spec.dataset.columns})
    if taken:
        raise ConfigError(
            f"{spec.unit_id}: column '{taken[0]}' has a name that changes use themselves", hint="exclude_columns"
        )
