"""The documents in the KV. Each has a schema number; an unknown number is refused, never misread."""

from collections.abc import Mapping
from typing import Literal, TypeVar

from pydantic import Field, JsonValue, ValidationError

from ingest_ray.sdk.errors import StateUnreadable
from ingest_ray.sdk.types import Interval, Learned, Model, SegmentState

SCHEMA = 1


class FoldedCommit(Model):
    """A commit that is in the checkpoint: its number, the epoch of its run, and the run's task."""

    sequence: int
    epoch: int
    task: str = "ingest"
    is_left_out: bool = False
    """No commit of this checkpoint has the number: an intent had it that was dropped, or whose prepared rows were lost."""


class Return(Model):
    """A checkpoint goes back to its state after commit `to`. Commits go on above `sequence`, the number of the sink."""

    to: int
    sequence: int


class UnitDocument(Model):
    """The document under the unit's key. `sequence`: the last commit that is folded into every segment it touched."""

    schema_number: Literal[1] = 1
    epoch: int
    sequence: int = 0
    run_id: str
    learned: Learned = Learned()
    cursor: str | None = None
    """The column whose values the watermarks are."""
    table: str | None = None
    """The table that was chosen for the unit when its scopes were opened; None: the sink's own name."""
    layout: str = ""
    """The masks of the unit's columns when its scopes were opened, as `engine.masking.layout` writes them."""
    location: str = ""
    """Where the sink was that the unit was loaded into, as `secrets.locations.sink_location` writes it; empty: not recorded."""
    is_resetting: bool = False
    """A reset has begun and not finished; the next run finishes it before it reads anything."""
    is_log_dropped: bool = False
    """The source's log was given up for this unit, which must be reset and loaded again."""
    returning: Return | None = None
    """The checkpoint has begun to go back and has not finished; the next run finishes it before it reads anything."""
    commits: tuple[FoldedCommit, ...] = ()
    """The last ones, oldest first. Documents of older versions have none."""
    claimed: int | None = None
    """The last commit whose rows this checkpoint claims, where that is not `sequence`: it went on above commits that it does not know."""
    read_at: int = 0
    """Microseconds since 1970: the newest `RunOrder.read_at` of the unit's runs. It grows also where clocks go back or differ."""
    tables: tuple[str, ...] = ()
    """The models whose tables have the last commit, where a unit writes several. Documents of older versions have none."""
    known_from: int = 0
    """The earlier states of the segments fit commits from this one on: below it the checkpoint was set in another way."""

    @property
    def last_claimed(self) -> int:
        return self.sequence if self.claimed is None else self.claimed

    @property
    def committed_by(self) -> int:
        """The epoch of the last commit; 0 where it is not known. A sink with an older epoch does not have that commit."""
        last = self.commits[-1] if self.commits else None
        return last.epoch if last is not None and last.sequence == self.sequence else 0


class SegmentDocument(Model):
    schema_number: Literal[1] = 1
    epoch: int
    state: SegmentState
    past: str = ""
    """The states before the segment's last commits, oldest first, as `commit_history.packed` writes them."""


class Owner(Model):
    """The process that runs a unit; `started` distinguishes it from a later process with the same pid."""

    host: str
    pid: int
    started: str


class LeaseDocument(Model):
    """Never deleted, because the epoch must never go back."""

    schema_number: Literal[1] = 1
    epoch: int
    run_id: str
    owner: Owner
    expires_at: float
    """Seconds since 1970."""
    is_released: bool = False


class HeldConnections(LeaseDocument):
    """The connections of an endpoint that one run holds; renewed and released like a lease."""

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
    """The commit that is about to happen under a number. `is_whole`: every open scope of the unit becomes complete.

    Only a reset deletes it: each run writes it first, so that no run of an older epoch holds a version with which it
    could write an intent.
    """

    schema_number: Literal[1] = 1
    epoch: int
    """The epoch of the run that wrote the intent."""
    held_by: int = 0
    """The epoch of the run that took the intent over; it is still open unless `is_settled`."""
    is_settled: bool = False
    opened_by: int | None = None
    """The newest epoch with which a run has opened the sink, written before it did so; None in documents of older versions."""
    sequence: int
    run_id: str
    claims: tuple[ClaimDocument, ...] = ()
    is_whole: bool = False
    quarantine_uris: tuple[str, ...] = ()
    """Quarantine files that become official with this commit."""
    task: str = "ingest"
    """What the run is for. Going back does not lead to reading again what a commit of another task brought."""


class UnitState(Model):
    """The state of a unit and sink for display; read without a lease."""

    unit_key: str
    epoch: int = 0
    sequence: int = 0
    last_claimed: int = 0
    committed_by: int = 0
    run_id: str | None = None
    learned: Learned = Learned()
    cursor: str | None = None
    table: str | None = None
    layout: str = ""
    location: str = ""
    is_log_dropped: bool = False
    tables: tuple[str, ...] = ()
    segments: dict[str, SegmentState] = Field(default_factory=dict)
    lease: LeaseDocument | None = None
    has_intent: bool = False


D = TypeVar("D", bound=Model)


def parsed(kind: type[D], key: str, value: Mapping[str, JsonValue]) -> D:
    """Reads one document.

    Raises:
        StateUnreadable: an unknown schema number, or a document of another shape.
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
        path = ".".join(str(part) for part in first["loc"])
        raise StateUnreadable(
            f"state '{key}' is damaged at '{path}': {first['msg']}",
            hint="restore the state store from a backup, or forget the checkpoint with `ingest-ray reset`",
        ) from error


def dumped(document: Model) -> dict[str, JsonValue]:
    value: dict[str, JsonValue] = document.model_dump(mode="json")
    return value
