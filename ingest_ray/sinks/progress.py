"""The progress of a unit that writes to several tables."""

from collections.abc import Sequence

from ingest_ray.sdk.contracts import SinkProgress


def newest_progress(parts: Sequence[SinkProgress]) -> SinkProgress:
    """The highest epoch and number of all tables. A table that does not exist may belong to a model that the unit got later."""
    return SinkProgress(
        epoch=max((part.epoch for part in parts), default=0),
        sequence=max((part.sequence for part in parts), default=0),
        exists=any(part.exists for part in parts),
    )
