"""Catalog metadata: a dataset, its columns, and how exactly each column type is kept."""

import hashlib
from enum import StrEnum

from pydantic import Field, JsonValue

from ingest_ray.sdk.types.model import Model


class Fidelity(StrEnum):
    EXACT = "exact"
    WIDENED = "widened"
    LOSSY = "lossy"
    REFUSED = "refused"


def worst_fidelity(first: Fidelity, second: Fidelity) -> Fidelity:
    """The one that keeps less of a value."""
    order = list(Fidelity)
    return max(first, second, key=order.index)


class Column(Model):
    """One column of a dataset: what the source calls its type, and the Arrow type that its values are staged in.

    `arrow` is the text form of `ingest_ray.sdk.arrow_types`. `logical` names what the Arrow type alone does not say
    (`uuid`, `json`, `enum`, `interval`, ...), for sinks that have such a type.
    """

    name: str
    source_type: str
    arrow: str
    nullable: bool = True
    logical: str | None = None
    fidelity: Fidelity = Fidelity.EXACT
    note: str | None = None
    description: str | None = None


class Dataset(Model):
    """What metadata collection found at an endpoint. `name` is unique per endpoint and is the unit's id."""

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
    """What the strategy wants to remember for planning, e.g. the quoted name or the collation of a key."""

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
