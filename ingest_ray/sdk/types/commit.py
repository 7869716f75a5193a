"""Targets in a sink, prepared slices, and the receipts of commits."""

from typing import Literal, Self

from pydantic import Field, JsonValue

from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types.dataset import Fidelity
from ingest_ray.sdk.types.layout import Layout
from ingest_ray.sdk.types.model import Model
from ingest_ray.sdk.types.unit import WriteMode


class Target(Model):
    """One unit in one sink. With `model`, its rows go to the table of that CDM model, beside the rows of other units."""

    sink_id: str
    endpoint_id: str
    unit_id: str
    app_id: str
    """The name of this unit and sink in the sink's commit ledger."""
    write: WriteMode
    key: tuple[str, ...] = ()
    version_column: str | None = None
    """The row with the larger value wins; without it, the later arrival."""
    generation: int = 1
    run_id: str = ""
    table: str | None = None
    """A name that was chosen for the unit's table; `/` separates folders. None: the sink's own name for the unit."""
    model: str | None = None
    deletes: Literal["tombstone", "delete"] = "tombstone"
    """How rows are erased that are gone: of a model, those that their source row no longer makes; of changes, deleted ones."""
    layout: Layout | None = None

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


class ModelCounts(Model):
    """Rows of one CDM model. `erased`: rows that their source row no longer makes."""

    mapped: int = 0
    committed: int = 0
    deduplicated: int = 0
    erased: int = 0

    def plus(self, other: Self) -> Self:
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})


class Prepared(Model):
    """One slice's rows at the sink, invisible to its readers. If a crash lost them, the commit raises `StagingLost`. `payload`
    belongs to the sink."""

    slice_id: str
    rows: int
    bytes: int = 0
    row_hash: str = ""
    """The hash of the rows as they came; empty where the sink compares none: then their number is compared."""
    rows_deduplicated: int = 0
    rows_quarantined: int = 0
    """Rows that the sink cannot hold; `rows` does not count them, `row_hash` is the hash of all."""
    quarantine_uri: str | None = None
    first_rejection: str | None = None
    is_insert_only: bool = False
    models: dict[str, int] = Field(default_factory=dict)
    """In CDM mode: the rows of each model that were made of the source rows; `rows` counts source rows."""
    payload: dict[str, JsonValue] = Field(default_factory=dict)
    seconds: float = 0.0


class Receipt(Model):
    epoch: int
    sequence: int
    rows_committed: int
    rows_deduplicated: int = 0
    models: dict[str, ModelCounts] = Field(default_factory=dict)
    location: str | None = None
    seconds: float = 0.0


class Provisioned(Model):
    """The table of a CDM model in a sink. `schema_name`: empty where the database has no schemas."""

    model_id: str
    schema_name: str = ""
    table_name: str
    location: str


class ColumnFit(Model):
    """How one column arrives in a sink; a line of the fidelity certificate."""

    column: str
    arrow: str
    sink_type: str
    fidelity: Fidelity
    note: str | None = None
