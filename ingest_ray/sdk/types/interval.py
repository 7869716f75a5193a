"""Positions, axes and half-open intervals of a source, and the horizon that bounds a run."""

from typing import Literal

from ingest_ray.sdk.types.model import Model

Position = tuple[int | str, ...]
"""A point on an axis, one item per column, as the strategy spells it. The core compares positions for equality only:
their order is the source's business (collations differ), and a slice's `rank` tells it."""


class Axis(Model):
    """What the intervals of a scope are measured along. All intervals are half-open: `[lower, upper)`."""

    kind: Literal["cursor", "key", "tid", "whole"]
    columns: tuple[str, ...] = ()
    bounds: Literal["[)"] = "[)"


class Interval(Model):
    """`[lower, upper)`; None is an open end."""

    lower: Position | None = None
    upper: Position | None = None


class Horizon(Model):
    """The upper bound of a run. `value` is exclusive: rows at or above it belong to a later run."""

    value: Position
    method: str
    note: str | None = None
