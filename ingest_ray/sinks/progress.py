"""The progress of a unit that writes to several tables."""

from collections.abc import Mapping

from ingest_ray.sdk.contracts import SinkProgress


def newest_progress(parts: Mapping[str, SinkProgress]) -> SinkProgress:
    """The highest epoch and number of all tables, by name, and the rows of the one that is furthest behind.

    A table that does not exist, or has no commit of the unit, may belong to a model that the unit got later: `SinkProgress.of_tables`.
    """
    sequence = max((part.sequence for part in parts.values()), default=0)
    rows_of = min((part.rows_of for part in parts.values() if part.sequence), default=0)
    return SinkProgress(
        epoch=max((part.epoch for part in parts.values()), default=0),
        sequence=sequence,
        exists=any(part.exists for part in parts.values()),
        restored_to=rows_of if rows_of < sequence else None,
        tables=tuple((name, part.rows_of) for name, part in parts.items()),
    )
