"""What the ledger hears (events) and what it answers (instructions). All of it is plain data."""

from dataclasses import dataclass
from enum import StrEnum

from ingest_ray.sdk.errors import IngestError, Recovery, SliceTooLarge
from ingest_ray.sdk.types import Handle, Interval, Mapped, Position, Prepared, Receipt, RunState, Slice, Staged

LONGEST_MESSAGE = 2_000  # characters; a run record with it stays far below 64 KiB


@dataclass(frozen=True)
class Fault:
    """An error as data: what the ledger and a person need of it."""

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
    """Drivers quote whole statements; a fault is stored and sent, and is to be read by a person."""
    if len(message) <= LONGEST_MESSAGE:
        return message
    half = LONGEST_MESSAGE // 2
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


# Instructions: what to do. Each is answered by one event, except `Drop` and `Abort`, which are not answered.


@dataclass(frozen=True)
class Plan:
    """Give me up to `count` more slices, and from now on none of these segments."""

    count: int
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ReplanSlice:
    """Cut this interval of a slice again; ranks continue below the slice's own.

    `number` counts the times that this slice is cut again, in the order in which they were asked for: ranks follow it, in whatever
    order the answers are worked out.
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
    """Make rows of CDM models from what is staged."""

    piece: Slice
    attempt: int
    handle: Handle
    delay_s: float = 0.0


@dataclass(frozen=True)
class Prepare:
    """`mapped`: in CDM mode, what is prepared instead of the staged rows themselves."""

    piece: Slice
    attempt: int
    handle: Handle
    delay_s: float = 0.0
    mapped: Mapped | None = None


@dataclass(frozen=True)
class CommitClaim:
    """One slice of a commit as the intent remembers it."""

    segment: str
    scope_id: str
    rank: tuple[int, ...]
    interval: Interval


@dataclass(frozen=True)
class RecordIntent:
    """Write down what will be committed under the next number. `is_whole`: every open scope becomes complete.

    The rejected rows of these slices become official with the commit.
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
    """The answer to a commit was lost: what is the sink's last number?"""

    delay_s: float = 0.0


@dataclass(frozen=True)
class ApplyCommit:
    """Take the commit into the checkpoint."""

    sequence: int
    delay_s: float = 0.0


@dataclass(frozen=True)
class Drop:
    """Staged pages that nobody needs any more."""

    handles: tuple[Handle, ...]


@dataclass(frozen=True)
class Abort:
    """Prepared rows that will not be committed."""

    group: tuple[Prepared, ...]


@dataclass(frozen=True)
class Finish:
    """`is_restartable`: the run can go on from its checkpoint with a new look at the source, and with this one it cannot."""

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


# Events: what happened.


@dataclass(frozen=True)
class Planned:
    slices: tuple[Slice, ...]
    is_done: bool


@dataclass(frozen=True)
class SliceReplanned:
    """The pieces of one `ReplanSlice`."""

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
    """Something that was asked for did not work. `piece` for READ, MAP, PREPARE and a PLAN that was a `ReplanSlice`."""

    stage: Stage
    fault: Fault
    piece: Slice | None = None
    attempt: int = 0


@dataclass(frozen=True)
class StopRequested:
    """A person or a signal asked the run to stop: finish the commit under way, leave the rest."""


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
