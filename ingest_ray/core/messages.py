"""The ledger's input (events) and output (instructions). All of it is plain data."""

from dataclasses import dataclass
from enum import StrEnum

from ingest_ray.sdk.errors import IngestError, Recovery, SliceTooLarge
from ingest_ray.sdk.types import Handle, Interval, Mapped, Position, Prepared, Receipt, RunState, Slice, Staged

MAX_MESSAGE_CHARS = 2_000  # keeps a run record far below 64 KiB


@dataclass(frozen=True)
class Fault:
    """An error as data: what the ledger decides by, and what a person reads."""

    code: str
    message: str
    recovery: Recovery
    hint: str | None = None
    retry_after_s: float | None = None
    position: Position | None = None
    bytes_per_row: float | None = None

    @classmethod
    def of(cls, error: IngestError) -> "Fault":
        too_large = error if isinstance(error, SliceTooLarge) else None
        return cls(
            code=error.code,
            message=short(error.message) or type(error).__name__,
            recovery=error.recovery,
            hint=error.hint,
            retry_after_s=error.retry_after_s,
            position=too_large.position if too_large else None,
            bytes_per_row=too_large.bytes_per_row if too_large else None,
        )


def short(message: str) -> str:
    """Cuts the middle out of a long message: drivers quote whole statements, and a fault is stored and sent."""
    if len(message) <= MAX_MESSAGE_CHARS:
        return message
    half = MAX_MESSAGE_CHARS // 2
    return f"{message[:half]} [... {len(message) - 2 * half} characters ...] {message[-half:]}"


class Stage(StrEnum):
    PLAN = "plan"
    OPEN = "open"
    READ = "read"
    MAP = "map"
    PREPARE = "prepare"
    INTEND = "intend"
    COMMIT = "commit"
    FOLD = "fold"


# Instructions. Each leads to one event, except `Drop` and `Abort`, which lead to none.


@dataclass(frozen=True)
class Plan:
    """Cut up to `count` more slices; from now on, none of the segments in `without`."""

    count: int
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ReplanSlice:
    """Cut this interval of a slice into smaller slices, whose ranks continue below the slice's own.

    `number` counts the replans of this slice in the order of the instructions; ranks follow it, in whatever order the events
    arrive.
    """

    piece: Slice
    interval: Interval
    bytes_per_row: float | None
    number: int = 0


@dataclass(frozen=True)
class OpenSink:
    delay_s: float = 0.0


@dataclass(frozen=True)
class Read:
    piece: Slice
    attempt: int
    delay_s: float = 0.0


@dataclass(frozen=True)
class Map:
    """Map the staged rows of a slice to rows of CDM models."""

    piece: Slice
    attempt: int
    handle: Handle
    delay_s: float = 0.0


@dataclass(frozen=True)
class Prepare:
    """Prepare the staged rows at the sink; in CDM mode, the rows of `mapped` instead."""

    piece: Slice
    attempt: int
    handle: Handle
    delay_s: float = 0.0
    mapped: Mapped | None = None


@dataclass(frozen=True)
class CommitClaim:
    """One slice of a commit, as the intent records it."""

    segment: str
    scope_id: str
    rank: tuple[int, ...]
    interval: Interval


@dataclass(frozen=True)
class RecordIntent:
    """Record in the KV what will be committed under the next number. `is_whole`: every open scope becomes complete.

    The quarantine files of these slices become official with the commit.
    """

    claims: tuple[CommitClaim, ...]
    is_whole: bool = False
    quarantine_uris: tuple[str, ...] = ()
    delay_s: float = 0.0


@dataclass(frozen=True)
class Commit:
    sequence: int
    group: tuple[Prepared, ...]
    delay_s: float = 0.0


@dataclass(frozen=True)
class QuerySink:
    """Read the sink's last sequence number, because the result of a commit was lost."""

    delay_s: float = 0.0


@dataclass(frozen=True)
class ApplyCommit:
    """Fold the commit into the checkpoint and clear the intent."""

    sequence: int
    delay_s: float = 0.0


@dataclass(frozen=True)
class Drop:
    """Remove staged pages that are not needed any more."""

    handles: tuple[Handle, ...]


@dataclass(frozen=True)
class Abort:
    """Discard prepared rows that will not be committed."""

    group: tuple[Prepared, ...]


@dataclass(frozen=True)
class Finish:
    """End the run. `is_restartable`: a new attempt with a new probe can go on from the checkpoint; this attempt cannot."""

    state: RunState
    fault: Fault | None = None
    is_restartable: bool = False


Instruction = (
    Plan
    | ReplanSlice
    | OpenSink
    | Read
    | Map
    | Prepare
    | RecordIntent
    | Commit
    | QuerySink
    | ApplyCommit
    | Drop
    | Abort
    | Finish
)


# Events.


@dataclass(frozen=True)
class Planned:
    slices: tuple[Slice, ...]
    is_done: bool


@dataclass(frozen=True)
class SliceReplanned:
    """The slices that one `ReplanSlice` led to."""

    parent: Slice
    slices: tuple[Slice, ...]


@dataclass(frozen=True)
class SinkOpened:
    sequence: int


@dataclass(frozen=True)
class SliceStaged:
    piece: Slice
    attempt: int
    staged: Staged


@dataclass(frozen=True)
class SliceMapped:
    piece: Slice
    attempt: int
    mapped: Mapped


@dataclass(frozen=True)
class SlicePrepared:
    piece: Slice
    attempt: int
    prepared: Prepared


@dataclass(frozen=True)
class IntentRecorded:
    sequence: int


@dataclass(frozen=True)
class Committed:
    receipt: Receipt


@dataclass(frozen=True)
class SinkSequence:
    sequence: int


@dataclass(frozen=True)
class CommitApplied:
    sequence: int


@dataclass(frozen=True)
class Failed:
    """An instruction failed. `piece` is set for READ, MAP, PREPARE, and for a PLAN that was a `ReplanSlice`."""

    stage: Stage
    fault: Fault
    piece: Slice | None = None
    attempt: int = 0


@dataclass(frozen=True)
class StopRequested:
    """A person or a signal requested a stop: the commit under way is finished, the rest is left."""


Event = (
    Planned
    | SliceReplanned
    | SinkOpened
    | SliceStaged
    | SliceMapped
    | SlicePrepared
    | IntentRecorded
    | Committed
    | SinkSequence
    | CommitApplied
    | Failed
    | StopRequested
)
