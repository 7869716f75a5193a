"""Optional capabilities of a source, each a protocol of its own, and the functions that look them up.

A strategy has a capability when it has all methods of its protocol. A wrapper has the methods of every capability and
says with `has_capability` which of them the wrapped source has.
"""

from __future__ import annotations  # so that importing a contract does not import pyarrow

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from ingest_ray.sdk.contracts.comparison import KeySums, RowLookup
from ingest_ray.sdk.contracts.source import Probe, RowSource
from ingest_ray.sdk.errors import ModeUnsupported
from ingest_ray.sdk.types import Endpoint, Scope, SegmentState, UnitConfig, UnitSpec

if TYPE_CHECKING:
    import pyarrow as pa

C = TypeVar("C")


@runtime_checkable
class Backfill(Protocol):
    """Reads an interval of the cursor that a person chose."""

    def between(
        self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState], lower: str | None, upper: str | None
    ) -> Sequence[Scope]:
        """Returns the scopes of the interval `[lower, upper)` of the cursor, with effect AHEAD: no watermark moves.

        Raises:
            ConfigError: a bound is no value of the cursor.
        """
        ...


@runtime_checkable
class KeyScan(Protocol):
    """Lists all keys of a dataset. Deletes are derived from it."""

    def scan_keys(self, spec: UnitSpec) -> Iterator[pa.RecordBatch]:
        """Yields every key that the dataset has now, as its key columns in the types of the schema: all, or raises.

        Never ends early, and never takes "may not be seen" for "is not there".
        """
        ...

    def proven_gone(self, spec: UnitSpec, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yields those of `keys`, absent from a key scan, that the source proves not to exist. A refusal is no proof.

        Where a key scan is itself the proof (one statement over a table), all of them.
        """
        ...


@runtime_checkable
class QuickCheck(Protocol):
    """Finds out, much cheaper than a probe, that a unit has nothing to read."""

    def is_unchanged(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> bool:
        """Returns True only where a probe would find nothing to read now. False means nothing: a probe follows."""
        ...


@runtime_checkable
class Notes(Protocol):
    """Tells how the endpoint's login reads a unit, where that is not as a person expects: `verify` and deletes say so."""

    def notes(self, spec: UnitSpec) -> Sequence[str]:
        """Returns sentences, such as that policies of the source hide rows; empty where all rows are read."""
        ...


@dataclass(frozen=True)
class LogStatus:
    """The log of a unit. `state`: `none` (not made yet), `new` (nothing is loaded yet), `lost`, or the source's own word.

    `lag_s`: the age of the oldest transaction that is not read yet. `retained_bytes`: what the source keeps of its log for the unit.
    """

    name: str
    state: str
    position: str | None = None
    end: str | None = None
    lag_bytes: int | None = None
    lag_s: float | None = None
    retained_bytes: int | None = None


@dataclass(frozen=True)
class LogReader:
    """A unit and sink of an endpoint that goes on from a position of its log: `known` is its checkpoint."""

    unit_id: str
    sink_id: str
    known: Mapping[str, SegmentState]


LogReaders: TypeAlias = Callable[[], Sequence[LogReader]]
"""Reads the checkpoints, as they are now, of all units of an endpoint that need its log: several may share what keeps it. A unit that
is disabled, paused or deleted is among them, until its log is dropped or its checkpoint is reset.

Raises:
    StateUnavailable, StateUnreadable: one of them cannot be read, so that nothing is known of what the others need.
"""


@runtime_checkable
class ChangeLog(Protocol):
    """Reads changes of units in run mode CHANGES from the source's log, which the source keeps until it is told to let it go."""

    def open_log(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> None:
        """Makes what keeps the log, before the first load; later lets go what is below the checkpoint. Repeating it changes nothing.

        Raises:
            LogGone: the log does not reach back to the checkpoint.
            LogRetained: more is kept than the policy allows.
        """
        ...

    def advance_log(self, spec: UnitSpec, known: Mapping[str, SegmentState], readers: LogReaders) -> None:
        """Lets the log go below the checkpoint `known` and those of all other units that share it, and never more: what they have is
        durably in their sinks."""
        ...

    def drop_log(self, spec: UnitSpec, readers: LogReaders) -> Sequence[str]:
        """Removes what was made at the source, except for what the other `readers` share; returns what that was. The unit must be loaded
        again after it."""
        ...

    def read_log_status(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> LogStatus: ...


@dataclass(frozen=True)
class KeptLog:
    """What keeps a part of the source's log. `removal`: the statement that removes it."""

    name: str
    state: str
    retained_bytes: int | None
    removal: str


@runtime_checkable
class LogInventory(Protocol):
    """Lists what keeps the log at a source, so that what no unit needs is found."""

    def list_logs(self, endpoint: Endpoint) -> Sequence[KeptLog]:
        """Returns all that this installation may have made there, also for units and endpoints that it does not have any more."""
        ...

    def log_name(self, endpoint: Endpoint, unit: UnitConfig) -> str:
        """Returns the name of what keeps the log for the unit alone, whether it is there or not. Makes no request."""
        ...

    def shared_log_name(self, endpoint: Endpoint) -> str:
        """Returns the name of what keeps the log for all units of the endpoint, whether it is there or not. Makes no request."""
        ...


CAPABILITIES: Mapping[type, str] = {
    Backfill: "backfills",
    KeyScan: "key scans, from which deletes are derived",
    QuickCheck: "a quick check for changes",
    RowLookup: "reading rows again by their keys, as a comparison with a sink needs",
    KeySums: "sums of keys",
    ChangeLog: "changes from a log",
    LogInventory: "a list of the logs that it keeps",
    Notes: "notes about what is not read",
}
"""Every optional capability, and its name in a message."""


def find_capability(source: RowSource, kind: Callable[..., C]) -> C | None:
    """Returns the source as an object of the protocol `kind`; None where it does not have that capability."""
    has_capability: Callable[[object], bool] | None = getattr(source, "has_capability", None)
    if has_capability is not None and not has_capability(kind):
        return None
    protocol: Any = kind
    return source if isinstance(source, protocol) else None


def capability(source: RowSource, kind: Callable[..., C]) -> C:
    """Returns the source as an object of the protocol `kind`.

    Raises:
        ModeUnsupported: the source does not have that capability.
    """
    capable = find_capability(source, kind)
    if capable is None:
        name = next((name for protocol, name in CAPABILITIES.items() if protocol is kind), str(kind))
        raise ModeUnsupported(
            f"sources of template '{source.descriptor.template}' do not support {name}",
            hint=f"its strategy lacks the capability {getattr(kind, '__name__', kind)}, see docs/write-a-source.md",
        )
    return capable
