"""The columns that record where each row came from. Every sink adds them here and nowhere else."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Slice

RUN_ID = "_ingest_run_id"
SLICE = "_ingest_slice"
INGESTED_AT = "_ingest_at"
DELETED_AT = "_deleted_at"  # a tombstone: NULL until the row is gone at the source, NULL again when it comes back

READ_AT = "read_at"  # a hint of slices whose rows an earlier run read: when it began, in microseconds since 1970
BEGIN = datetime(1970, 1, 1, tzinfo=UTC)

PROVENANCE_FIELDS = (
    pa.field(RUN_ID, pa.string()),
    pa.field(SLICE, pa.string()),
    pa.field(INGESTED_AT, pa.timestamp("us", "UTC")),
    pa.field(DELETED_AT, pa.timestamp("us", "UTC")),
)
PROVENANCE_COLUMNS = tuple(field.name for field in PROVENANCE_FIELDS)


def with_provenance(schema: pa.Schema) -> pa.Schema:
    """The schema of the rows in a sink."""
    taken = sorted({name for name in schema.names if name.lower() in PROVENANCE_COLUMNS})
    if taken:
        raise SinkRejected(
            f"column '{taken[0]}' has a name that every sink uses itself", hint="leave it out: policy.columns"
        )
    return pa.schema([*schema, *PROVENANCE_FIELDS])


class Provenance:
    """One slice's provenance: the same for all its rows."""

    def __init__(self, run_id: str, piece: Slice) -> None:
        """Rows that an earlier run read, and a replay brings, were ingested when they were read: newer ones stay in the sink."""
        self.run_id = run_id
        read_at = piece.hints.get(READ_AT)
        self.ingested_at = datetime.now(UTC) if read_at is None else BEGIN + timedelta(microseconds=int(str(read_at)))
        values = (run_id, piece.slice_id, self.ingested_at, None)
        self._values = [pa.scalar(value, field.type) for value, field in zip(values, PROVENANCE_FIELDS, strict=True)]
        self._columns = [pa.repeat(value, 0) for value in self._values]  # of the longest batch so far

    def add_to(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch.num_rows > len(self._columns[0]):
            self._columns = [pa.repeat(value, batch.num_rows) for value in self._values]
        added = [column.slice(0, batch.num_rows) for column in self._columns]
        schema = pa.schema([*batch.schema, *PROVENANCE_FIELDS])
        return pa.RecordBatch.from_arrays([*batch.columns, *added], schema=schema)
