"""Compares two versions of a dataset and applies `policy.on_schema_change` to the changes. Pure.

| change | evolve | freeze | discard_column | quarantine_row |
|---|---|---|---|---|
| column added | read | refused | not read | not read |
| column dropped | left out; the sink keeps its values, new rows have NULL | refused | refused | refused |
| type widened, or may be NULL now | followed | refused | followed | kept: rows that do not fit go to quarantine |
| type narrowed | the wider one is kept | refused | the wider one is kept | kept |
| another type | refused; a replacement follows it | refused | refused | kept: rows that do not fit go to quarantine |

A rename is a drop and an addition. A key or cursor that vanished, and a key that became another one, are always refused.
A column that `policy.columns` names is always read, and no other column matters then.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from ingest_ray.sdk.arrow_types import from_text
from ingest_ray.sdk.types import Column, Dataset, Fidelity, Policy
from ingest_ray.sinks.widening import is_wider

ChangeKind = Literal["added", "dropped", "widened", "narrowed", "retyped", "described"]

_REFUSED: dict[str, frozenset[ChangeKind]] = {
    "evolve": frozenset({"retyped"}),
    "freeze": frozenset({"added", "dropped", "widened", "narrowed", "retyped", "described"}),
    "discard_column": frozenset({"dropped", "retyped"}),
    "quarantine_row": frozenset({"dropped"}),
}


@dataclass(frozen=True)
class SchemaChange:
    """`described`: the source names the type differently, and the values are the same."""

    column: str
    kind: ChangeKind
    text: str


def changes(before: Dataset, now: Dataset) -> Iterator[SchemaChange]:
    """Compares column by column; the order of columns does not matter."""
    for column in now.columns:
        if before.column(column.name) is None:
            yield SchemaChange(column.name, "added", f"+ {column.name} {column.source_type}")
    for old in before.columns:
        if now.column(old.name) is None:
            yield SchemaChange(old.name, "dropped", f"- {old.name}")
    for old in before.columns:
        new = now.column(old.name)
        if new is not None and (kind := _kind_of(old, new)) is not None:
            yield SchemaChange(old.name, kind, f"~ {old.name}: {_type_text(old, new)} -> {_type_text(new, old)}")


def relevant_changes(found: Sequence[SchemaChange], policy: Policy) -> list[SchemaChange]:
    """The changes of columns that the unit reads; of all columns where the policy chooses none."""
    if not policy.columns:
        return list(found)
    return [change for change in found if change.column in policy.columns and change.kind != "added"]


def refused_changes(found: Sequence[SchemaChange], policy: Policy, *, is_made_new: bool) -> list[SchemaChange]:
    """The changes that the policy refuses. `is_made_new`: the sink's table is made anew, so it may have any type."""
    kinds = _REFUSED[policy.on_schema_change]
    if policy.on_schema_change == "evolve":
        kinds = (kinds - {"retyped"} if is_made_new else kinds) | ({"dropped"} if policy.columns else set())
    return [change for change in found if change.kind in kinds]


def followed_dataset(before: Dataset, now: Dataset, policy: Policy) -> Dataset:
    """The dataset that the unit runs with where no change is refused: `now`, with the columns and types that the policy allows."""
    columns = []
    for column in now.columns:
        old = before.column(column.name)
        if old is not None and (not policy.columns or column.name in policy.columns):
            columns.append(
                _with_old_type(old, column)
                if policy.on_schema_change == "quarantine_row"
                else _with_wider_type(old, column)
            )
        elif old is not None or policy.on_schema_change == "evolve" or column.name in policy.columns:
            columns.append(column)
    return now.model_copy(update={"columns": tuple(columns), "primary_key": before.primary_key})


def source_dataset(now: Dataset, staged: Dataset) -> Dataset | None:
    """The staged columns with the source's types; None where those are the staged types."""
    pairs = [(column, now.column(column.name)) for column in staged.columns]
    read = tuple(new or column for column, new in pairs)
    if all(
        new.arrow == old.arrow and (old.nullable or not new.nullable) for (old, _), new in zip(pairs, read, strict=True)
    ):
        return None
    return now.model_copy(update={"columns": read, "primary_key": staged.primary_key})


def _kind_of(old: Column, new: Column) -> ChangeKind | None:
    if Fidelity.REFUSED in (old.fidelity, new.fidelity):
        return "retyped" if old.fidelity is not new.fidelity else None
    if old.arrow != new.arrow:
        before, after = from_text(old.arrow), from_text(new.arrow)
        return "widened" if can_hold(after, before) else "narrowed" if can_hold(before, after) else "retyped"
    if old.nullable != new.nullable:
        return "widened" if new.nullable else "narrowed"
    return "described" if (old.source_type, old.logical) != (new.source_type, new.logical) else None


def can_hold(wide: pa.DataType, narrow: pa.DataType) -> bool:
    """True where every value of `narrow` is a value of `wide`, and the types are of one kind, so that it also looks the same."""
    return is_wider(wide, narrow)


def _with_wider_type(old: Column, new: Column) -> Column:
    """The new column, with the old type where that holds more values."""
    is_narrowed = old.arrow != new.arrow and _kind_of(old, new) == "narrowed"
    arrow = old.arrow if is_narrowed else new.arrow
    return new.model_copy(update={"arrow": arrow, "nullable": old.nullable or new.nullable})


def _with_old_type(old: Column, new: Column) -> Column:
    return new.model_copy(update={"arrow": old.arrow, "nullable": old.nullable, "logical": old.logical})


def _type_text(column: Column, other: Column) -> str:
    """The source's type; with the Arrow type where the source has one name for both."""
    staged = f" ({column.arrow})" if column.source_type == other.source_type and column.arrow != other.arrow else ""
    return f"{column.source_type}{staged}{'' if column.nullable else ' not null'}"
