"""The documents in the KV. Each has a schema number; an unknown one is refused, never misread."""

from collections.abc import Mapping
from typing import Literal, TypeVar

from pydantic import Field, JsonValue, ValidationError

from ingest_ray.sdk.errors import StateUnreadable
from ingest_ray.sdk.types import Interval, Learned, Model, SegmentState

SCHEMA = 1


class UnitDocument(Model):
    """Under the unit's key. `sequence` is the last commit that is folded into every segment it touched."""

    schema_number: Literal[1] = 1
    epoch: int
    sequence: int = 0
    run_id: str
    learned: Learned = Learned()
    cursor: str | None = None
    """The column that watermarks are values of."""


class SegmentDocument(Model):
    schema_number: Literal[1] = 1
    epoch: int
    state: SegmentState


class Owner(Model):
    """The process that runs a unit; `started` tells a process from a later one with the same pid."""

    host: str
    pid: int
    started: str


class LeaseDocument(Model):
    """Kept for ever, because the epoch must never go back."""

    schema_number: Literal[1] = 1
    epoch: int
    run_id: str
    owner: Owner
    expires_at: float
    """Seconds since 1970."""
    is_released: bool = False


class HeldConnections(LeaseDocument):
    """What one run took of an endpoint's connections; lives and ends like a lease."""

    count: int


class ConnectionsDocument(Model):
    schema_number: Literal[1] = 1
    held: tuple[HeldConnections, ...] = ()


class ClaimDocument(Model):
    segment: str
    scope_id: str
    rank: tuple[int, ...]
    interval: Interval


class IntentDocument(Model):
    """What is about to be committed under a number. `is_whole`: every open scope of the unit becomes complete.

    It is never deleted but by a reset: each run writes it before all else, so that no run of an older epoch holds a
    version with which it could promise anything.
    """

    schema_number: Literal[1] = 1
    epoch: int
    """Of the run that promised."""
    held_by: int = 0
    """The epoch of the run that took it over; what it promises is still to be settled unless `is_settled`."""
    is_settled: bool = False
    sequence: int
    run_id: str
    claims: tuple[ClaimDocument, ...] = ()
    is_whole: bool = False
    quarantine_uris: tuple[str, ...] = ()
    """Rejected rows that become official with this commit."""


class UnitState(Model):
    """A unit and sink as people see it; read without a lease."""

    unit_key: str
    epoch: int = 0
    sequence: int = 0
    run_id: str | None = None
    learned: Learned = Learned()
    cursor: str | None = None
    segments: dict[str, SegmentState] = Field(default_factory=dict)
    lease: LeaseDocument | None = None
    has_intent: bool = False


D = TypeVar("D", bound=Model)


def parsed(kind: type[D], key: str, value: Mapping[str, JsonValue]) -> D:
    """Reads one document.

    Raises:
        StateUnreadable: unknown schema number, or not the shape of one.
    """
    number = value.get("schema_number")
    if number != SCHEMA:
        raise StateUnreadable(
            f"state '{key}' has schema number {number!r}, this version reads {SCHEMA}",
            hint="run the version that wrote it, or forget the checkpoint with `ingest-ray reset`",
        )
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise StateUnreadable(
            f"state '{key}' is damaged at '{place}': {first['msg']}",
            hint="restore the state store from a backup, or forget the checkpoint with `ingest-ray reset`",
        ) from error


def dumped(document: Model) -> dict[str, JsonValue]:
    value: dict[str, JsonValue] = document.model_dump(mode="json")
    return value
