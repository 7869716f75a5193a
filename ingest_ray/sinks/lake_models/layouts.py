"""Layouts of tables that units share."""

from ingest_ray.cdm.models import ENDPOINT as ENDPOINT_OF_ROW
from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Target
from ingest_ray.sdk.types.layout import ENDPOINT


def refuse_shared_constant(target: Target) -> None:
    """Raises `SinkRejected` for a partition by the unit's own endpoint: a commit writes rows of other units again, too."""
    partitions = target.layout.partitions if target.layout is not None else None
    if any(one.transform == ENDPOINT for one in partitions or ()):
        raise SinkRejected(
            f"layout.partition_by: {ENDPOINT} is no partition of a table that units of several endpoints share",
            hint=f"partition by the column {ENDPOINT_OF_ROW}, which each row has",
        )
