"""The record of a commit of several tables, made before the first table takes its part.

It names the files prepared for each table, and is deleted when every table has its part.
"""

from collections.abc import Mapping
from typing import Literal

from ingest_ray.sdk.types import Model, Prepared, Target


class TablePart(Model):
    """What one table takes in a commit."""

    target: Target
    group: tuple[Prepared, ...]


class PendingCommit(Model):
    schema_number: Literal[1] = 1
    epoch: int
    sequence: int
    parts: tuple[TablePart, ...]


def unfinished_commit(commit: PendingCommit, sequences: Mapping[str, int]) -> PendingCommit | None:
    """What has to be rolled forward, once older epochs are fenced in every table: a commit that only some of its tables have. None for
    one that none or all of them have. `sequences`: the last number of each of the unit's tables, by model."""
    parts = tuple(part for part in commit.parts if part.target.model in sequences)
    has_number = [sequences[str(part.target.model)] >= commit.sequence for part in parts]
    return commit.model_copy(update={"parts": parts}) if any(has_number) and not all(has_number) else None
