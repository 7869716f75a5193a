"""The record of a commit of several tables, made before the first table takes its part.

It names the files prepared for each table, and is deleted when every table has its part.
"""

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
