"""Catalog metadata: a dataset, its columns, and how exactly each column type is kept."""

import hashlib
from enum import StrEnum

from pydantic import Field, JsonValue, ValidationInfo, field_validator

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types.model import Model

FAULT = "fault"
"""The fact of a dataset that could not be described: why. It has no columns; the catalog keeps what it had."""

DISTINCT_NAME = "distinct_name"
"""The fact with another name of a dataset, for where its `name` belongs to another object already."""

WHOLE_OBJECT = "whole_object"
"""The fact with the name of the column that holds the source's whole object: the values of the other columns are in it, too."""

CAUTION = "caution"
"""The fact of a dataset of which not every row may be read, and the reason: `collect` shows it."""


class Fidelity(StrEnum):
    EXACT = "exact"
    WIDENED = "widened"
    LOSSY = "lossy"
    REFUSED = "refused"


def worst_fidelity(first: Fidelity, second: Fidelity) -> Fidelity:
    """Returns the one that keeps less of a value."""
    order = list(Fidelity)
    return max(first, second, key=order.index)


class Column(Model):
    """One column of a dataset: the source's name of its type, and the Arrow type in which its values are staged.

    `arrow` is the text form of `ingest_ray.sdk.arrow_types`; a `pyarrow.DataType` is converted to it. `logical` names a type
    that the Arrow type alone does not show (`uuid`, `json`, `enum`, `interval`, ...), for sinks that have such a type.
    """

    name: str
    source_type: str
    arrow: str
    nullable: bool = True
    logical: str | None = None
    fidelity: Fidelity = Fidelity.EXACT
    note: str | None = None
    description: str | None = None

    @field_validator("arrow", mode="before")
    @classmethod
    def _as_text(cls, value: object, info: ValidationInfo) -> object:
        if not type(value).__module__.startswith("pyarrow"):
            return value
        from ingest_ray.sdk.arrow_types import to_text  # here, because importing it imports pyarrow

        try:
            return to_text(value)
        except ConfigError as error:
            raise ConfigError(f"column '{info.data.get('name')}': {error.message}") from None


class Dataset(Model):
    """One table or kind of record that metadata collection found. `name` is unique per endpoint and is the unit's id."""

    endpoint_id: str
    name: str
    kind: str = "table"
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    unique_keys: tuple[tuple[str, ...], ...] = ()
    estimated_rows: int | None = None
    estimated_bytes: int | None = None
    description: str | None = None
    labels: tuple[str, ...] = ()
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    """The strategy's own facts for planning, such as the collation of a key. `schema` and `table` name the object, where it
    has these; see also `FAULT` and `DISTINCT_NAME`."""

    @property
    def dataset_id(self) -> str:
        return f"{self.endpoint_id}:{self.name}"

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    @property
    def fingerprint(self) -> str:
        """Changes when a column's name, order, type or nullability changes, and for nothing else."""
        text = "\n".join(f"{c.name}\t{c.source_type}\t{c.arrow}\t{c.nullable}" for c in self.columns)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
