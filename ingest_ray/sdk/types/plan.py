"""The plan of a run: scopes, pieces and slices, and the checkpoint of a segment."""

import hashlib
from enum import StrEnum
from functools import lru_cache
from urllib.parse import quote

from pydantic import Field, JsonValue

from ingest_ray.sdk.types.interval import Axis, Interval, LogHistory, Position, SourceClock
from ingest_ray.sdk.types.model import Model


class Effect(StrEnum):
    """The effect that completing a scope has on its segment."""

    LOAD = "load"
    """All load scopes complete: the watermark becomes their horizon."""
    ADVANCE = "advance"
    """The watermark follows the leading gap-free part."""
    REPEAT = "repeat"
    """A look-back: stays due until it is complete; moves no watermark."""
    AHEAD = "ahead"
    """Read again by every run; nothing is remembered."""


class Island(Model):
    """A part of a scope that is durably in the sink. Ranks give its order: the core never orders positions."""

    interval: Interval
    first_rank: tuple[int, ...]
    last_rank: tuple[int, ...]


class Scope(Model):
    """A target interval of one segment and the part of it that is committed.

    `scope_id` is unique in its segment. `is_resumable` is False where a new run cannot continue the work of an
    older one: the scope then starts again as a new generation. `is_insert_only` says that no row of it can be in the
    sink already, so that an upsert may be an insert.
    """

    scope_id: str
    segment: str
    axis: Axis
    target: Interval = Interval()
    effect: Effect
    nulls: bool = False
    horizon: Position | None = None
    is_resumable: bool = True
    is_insert_only: bool = False
    estimated_rows: int | None = None
    done: tuple[Island, ...] = ()
    clock: SourceClock | None = None
    """The source's clock when it was planned: all its rows are read later."""
    history: LogHistory | None = None
    """Of the log that its positions are of; None where it is not known, or where there is no log."""


class SegmentState(Model):
    """The checkpoint of one segment. `watermark`: everything below it is durably in the sink."""

    segment: str
    generation: int = 1
    sequence: int = 0
    watermark: Position | None = None
    is_loaded: bool = False
    scopes: tuple[Scope, ...] = ()
    advanced: SourceClock | None = None
    """The clock that the watermark was taken from; None where it is not known."""
    verified: SourceClock | None = None
    """A clock since which all was read that a look-back reads again; None where it is not known."""
    history: LogHistory | None = None
    """Of the log that the watermark is of; None where it is not known, as in checkpoints of older versions."""


class Piece(Model):
    """One cut of a gap, as a strategy yields it: the core adds names, ranks and budgets and makes a `Slice` of it."""

    interval: Interval = Interval()
    estimated_rows: int | None = None
    estimated_bytes: int | None = None
    hints: dict[str, JsonValue] = Field(default_factory=dict)
    """Small facts that only the strategy's `read` understands."""


@lru_cache(maxsize=4096)  # a slice is asked for its id some 25 times
def _slice_id(segment: str, scope_id: str, rank: tuple[int, ...]) -> str:
    quoted = quote(segment, safe="")
    if len(quoted) > 80:
        quoted = quoted[:60] + hashlib.sha256(quoted.encode()).hexdigest()[:16]
    return f"{quoted}~{scope_id}~{'.'.join(map(str, rank))}"


class Slice(Model):
    """A bounded piece of a segment: the work of one reader task."""

    segment: str
    scope_id: str
    rank: tuple[int, ...]
    axis: Axis
    interval: Interval = Interval()
    nulls: bool = False
    effect: Effect
    is_insert_only: bool = False
    estimated_rows: int | None = None
    estimated_bytes: int | None = None
    snapshot: str | None = None
    hints: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def slice_id(self) -> str:
        """Unique in a run and safe as a file name."""
        return _slice_id(self.segment, self.scope_id, self.rank)
