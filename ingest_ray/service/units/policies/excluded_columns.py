"""Leaves out the columns that a unit never reads: for everything after this they are not in its dataset."""

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Dataset, Policy, UnitSpec


def without_excluded(spec: UnitSpec) -> UnitSpec:
    """Raises `ConfigError` for a column that is the unit's key or cursor, or that `policy.columns` names, too."""
    policy = spec.policy
    excluded = [name for name in policy.exclude_columns if spec.dataset.column(name) is not None]
    needed = dict.fromkeys(policy.columns, "in policy.columns, too") | dict.fromkeys(
        (*spec.dataset.primary_key, *spec.key), "its key"
    )
    if policy.cursor:
        needed[policy.cursor] = "its cursor"
    for name in excluded:
        if name in needed:
            raise ConfigError(
                f"unit '{spec.ref}': policy.exclude_columns leaves out '{name}', which is {needed[name]}",
                hint="read the column, or choose another key or cursor",
            )
    return spec.model_copy(update={"dataset": reduced(spec.dataset, policy)})


def reduced(dataset: Dataset, policy: Policy) -> Dataset:
    """The dataset without the excluded columns, and without unique keys over excluded or masked columns: plans, checkpoints and logs
    have values of the keys that rows are cut by."""
    hidden = {*policy.exclude_columns, *policy.masks}
    if not hidden:
        return dataset
    return dataset.model_copy(
        update={
            "columns": tuple(column for column in dataset.columns if column.name not in policy.exclude_columns),
            "unique_keys": tuple(key for key in dataset.unique_keys if not set(key) & hidden),
        }
    )
