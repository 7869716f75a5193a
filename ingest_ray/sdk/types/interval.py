"""Positions, axes and half-open intervals of a source, and the horizon that bounds a run."""

from typing import Literal

from pydantic import Field

from ingest_ray.sdk.types.model import Model

Position = tuple[int | str, ...]
"""A point on an axis, one item per column, in the strategy's own form. The core compares positions for equality only: the
source defines their order (collations differ), and a slice's `rank` carries it."""


class Axis(Model):
    """The axis along which the intervals of a scope are measured. All intervals are half-open: `[lower, upper)`."""

    kind: Literal["cursor", "key", "tid", "whole", "log"]
    columns: tuple[str, ...] = ()
    bounds: Literal["[)"] = "[)"


class Interval(Model):
    """`[lower, upper)`; None is an open end."""

    lower: Position | None = None
    upper: Position | None = None


class SourceClock(Model):
    """One look at the clock of a source, before a run reads anything. In seconds since 1970."""

    clock_s: float
    settled_s: float | None = None
    """Every transaction that began before this moment had ended, and its rows were visible; None: there is no such moment."""
    behind_s: float = 0.0
    """How far the clock is below the latest that it has shown: it was set back."""
    ahead_s: float | None = None
    """How far the clock was ahead of the reader's; None where it says nothing about the source's, as on a replica."""


class Horizon(Model):
    """The upper bound of a run. `value` is exclusive: rows at or above it belong to a later run."""

    value: Position
    method: str
    note: str | None = None
    clock: SourceClock | None = None
    """The clock that it was taken from; None: unknown, or the axis has none."""


class LoggedTable(Model):
    """The table that the changes are of, as its database names it."""

    oid: int
    publication: str
    published: str
    """What makes the publication publish the table, with the transactions that wrote it."""
    columns: dict[str, int] = Field(default_factory=dict)
    """The lasting number of each column; empty where there are too many."""


class LogHistory(Model):
    """Which history of a log positions are of: another server, or one that went back, gives them to other changes."""

    server: str
    timeline: int = 0
    seen: Position | None = None
    """Up to here the log may have transactions whose rows were read; None: not known."""
    table: LoggedTable | None = None
    """None: not known, as in checkpoints of older versions."""
