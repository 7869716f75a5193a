"""Staged pages, and the reports of the readers and mappers that staged them."""

from typing import Literal

from ingest_ray.sdk.types.commit import Prepared
from ingest_ray.sdk.types.interval import Interval
from ingest_ray.sdk.types.model import Model

ADOPTED = "adopted"  # the provider of staged files that a sink adopts


class PageInfo(Model):
    name: str
    rows: int
    bytes: int
    checksum: str


class Handle(Model):
    """The address of one slice's staged pages. It is the manifest: what it does not list does not exist."""

    schema_number: Literal[1] = 1
    provider: str
    uri: str
    run_id: str
    slice_id: str
    attempt: int
    pages: tuple[PageInfo, ...] = ()
    rows: int
    bytes: int
    schema_fingerprint: str
    row_hash: str

    @property
    def is_adopted(self) -> bool:
        """Its rows are files of the sink, of which a commit makes the table: they are never dropped like pages."""
        return self.provider == ADOPTED


class Staged(Model):
    """The report of a reader. `covered` is smaller than the slice's interval when the reader stopped at a position."""

    handle: Handle
    covered: Interval
    is_complete: bool = True
    rows_read: int
    rows_quarantined: int = 0
    quarantine_uri: str | None = None
    first_rejection: str | None = None
    """Why the first row in quarantine is there."""
    bytes_per_row: float | None = None
    seconds: float = 0.0
    points: int = 0
    """What reading cost of the source's hourly quota, where it has one."""
    prepared: Prepared | None = None
    """Of files that the sink adopts: nothing is left to prepare."""


class MappedModel(Model):
    """The rows of one model that a mapper made from one slice. `rows` does not count the markers that are staged with them."""

    model_id: str
    handle: Handle
    rows: int


class Mapped(Model):
    """The report of a mapper on one slice: the source rows that it read, and the handles of the models' rows.

    `rows` are the source rows that were mapped, `row_hash` is the hash of all rows that it read.
    """

    models: tuple[MappedModel, ...]
    rows: int
    row_hash: str
    rows_quarantined: int = 0
    quarantine_uri: str | None = None
    first_rejection: str | None = None
    seconds: float = 0.0

    @property
    def handles(self) -> tuple[Handle, ...]:
        return tuple(model.handle for model in self.models)

    @property
    def bytes(self) -> int:
        return sum(handle.bytes for handle in self.handles)
