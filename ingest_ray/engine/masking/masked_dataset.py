"""What a masked column is from staging on, and which masks a unit cannot have. Pure.

| mask | of | becomes |
|---|---|---|
| `hmac` | text, bytes, whole numbers, decimals, dates, timestamps | text: 32 hexadecimal digits |
| `redact` | text | the text `***` |
| `redact` | everything else | NULL, in the column's own type |
| `last4` | text, whole numbers | text: the last four characters; `****` for fewer than eight |
| `year` | dates, timestamps, text that begins with `YYYY-MM` | a whole number |
"""

from collections.abc import Mapping

import pyarrow as pa

from ingest_ray.sdk.arrow_types import from_text
from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Column, Dataset, Fidelity, UnitSpec
from ingest_ray.sdk.types.dataset import WHOLE_OBJECT

REDACTED = "***"


def masked_dataset(spec: UnitSpec) -> Dataset:
    """The unit's dataset as it is staged."""
    masks = spec.policy.masks
    if not masks:
        return spec.dataset
    columns = tuple(
        masked_column(column, masks[column.name]) if column.name in masks else column for column in spec.dataset.columns
    )
    return spec.dataset.model_copy(update={"columns": columns})


def read_schema(spec: UnitSpec) -> pa.Schema:
    """The schema of the rows as the source has them, before any mask."""
    return schema_of(spec.dataset, spec.policy.columns or None)


def masked_column(column: Column, mask: str) -> Column:
    kind = from_text(column.arrow)
    if mask == "redact" and not is_text(kind):
        return column.model_copy(update={"nullable": True, "fidelity": Fidelity.EXACT, "note": "masked: redact"})
    arrow = "int32" if mask == "year" else "string"
    update = {"arrow": arrow, "logical": None, "fidelity": Fidelity.EXACT, "note": f"masked: {mask}"}
    return column.model_copy(update=update)


def check_masks(spec: UnitSpec, needed: Mapping[str, str] | None = None) -> None:
    """`needed`: columns that must stay as they are, and what they are.

    Raises:
        ConfigError: names the column that does not exist, is needed, or has a type that the mask does not fit.
    """
    policy = spec.policy
    roles = {**(needed or {}), **_roles(spec)}
    for name, mask in policy.masks.items():
        if name in policy.exclude_columns:
            continue
        column = spec.dataset.column(name)
        if column is None:
            known = ", ".join(column.name for column in spec.dataset.columns[:30])
            raise ConfigError(
                f"unit '{spec.ref}': policy.mask names column '{name}', which the dataset does not have",
                hint=f"columns: {known}; if it has another name now, mask that one",
            )
        if name in roles:
            raise ConfigError(
                f"unit '{spec.ref}': policy.mask cannot mask '{name}', which is {roles[name]}",
                hint="keys and cursors find rows again; choose another one, or leave the column out with exclude_columns",
            )
        _check_type(spec, column, mask)
    _check_whole_object(spec)


def _check_whole_object(spec: UnitSpec) -> None:
    """The values of masked columns are in the column with the whole object, too."""
    whole, policy = spec.dataset.facts.get(WHOLE_OBJECT), spec.policy
    is_read = spec.dataset.column(str(whole)) is not None and (not policy.columns or whole in policy.columns)
    if not policy.masks or not is_read or whole in policy.exclude_columns:
        return
    if spec.is_cdm and not spec.config.cdm.models:
        raise ConfigError(
            f"unit '{spec.ref}': policy.mask cannot hide columns from its CDM mapper, which reads the whole object in '{whole}'",
            hint="use mode: raw, or expressions of your own under cdm.models",
        )
    if whole not in policy.masks:
        raise ConfigError(
            f"unit '{spec.ref}': column '{whole}' has the whole object, with the values that policy.mask hides elsewhere",
            hint=f"mask it, too ({whole}: redact), or leave it out with exclude_columns",
        )


def _roles(spec: UnitSpec) -> dict[str, str]:
    own = spec.dataset.facts.get("cursor")
    roles = dict.fromkeys((*spec.dataset.primary_key, *spec.key), "its key")
    cursors = (spec.policy.cursor, *spec.policy.cursors, own if isinstance(own, str) else None)
    return roles | {name: "its cursor" for name in cursors if name}


def _check_type(spec: UnitSpec, column: Column, mask: str) -> None:
    if column.fidelity is Fidelity.REFUSED:
        raise ConfigError(
            f"unit '{spec.ref}': policy.mask names column '{column.name}' of type '{column.source_type}', which cannot be read",
            hint="leave it out of policy.mask: it is not read anyway",
        )
    kind = from_text(column.arrow)
    if not fits(mask, kind):
        raise ConfigError(
            f"unit '{spec.ref}': mask '{mask}' does not fit column '{column.name}' of type '{column.source_type}' ({column.arrow})",
            hint="redact fits every type; docs/configuration.md has the types of each mask",
        )
    is_changed = masked_column(column, mask).arrow != column.arrow
    if spec.is_cdm and not spec.config.cdm.models and (is_changed or (not column.nullable and not is_text(kind))):
        raise ConfigError(
            f"unit '{spec.ref}': mask '{mask}' makes another type of column '{column.name}', which its CDM mapper reads as {column.arrow}",
            hint="use redact, where the column may be NULL, or mode: raw, or expressions of your own under cdm.models",
        )


def fits(mask: str, kind: pa.DataType) -> bool:
    types = pa.types
    match mask:
        case "hmac":
            is_exact = (
                types.is_integer(kind) or types.is_decimal(kind) or types.is_date(kind) or types.is_timestamp(kind)
            )
            return is_text(kind) or is_bytes(kind) or is_exact
        case "last4":
            return is_text(kind) or types.is_integer(kind)
        case "year":
            return is_text(kind) or types.is_date(kind) or types.is_timestamp(kind)
        case _:
            return True


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))
