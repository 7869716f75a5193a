"""How a prepared slice says that its rows are changes of a log, and how such slices are committed."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ingest_ray.sdk.changes import CHANGE_FIELDS, DELETE, OP, TRUNCATE
from ingest_ray.sdk.errors import LedgerMismatch
from ingest_ray.sdk.types import Prepared
from ingest_ray.sinks.provenance import PROVENANCE_COLUMNS

CHANGES, TRUNCATES, UPSERTS = "changes", "truncates", "upserts"  # fields of `Prepared.payload`


def only_changes(group: Sequence[Prepared]) -> Prepared | None:
    """The slice of changes that is committed; None where the group has none.

    Raises:
        LedgerMismatch: it is committed together with others, whose order is not known.
    """
    changes = [prepared for prepared in group if prepared.payload.get(CHANGES)]
    if not changes:
        return None
    if len(group) > 1:
        raise LedgerMismatch(f"slice '{changes[0].slice_id}': changes are committed alone, in the order of the log")
    return changes[0]


class ChangeCounter:
    """Counts the rows of a slice that write a row, and notices whether they say that no older row is left."""

    def __init__(self) -> None:
        self.truncates = False
        self.upserts = 0

    def count(self, batch: pa.RecordBatch) -> None:
        ops = batch.column(OP)
        self.truncates = self.truncates or bool(pc.any(pc.equal(ops, TRUNCATE)).as_py())
        self.upserts += batch.num_rows - int(pc.sum(pc.is_in(ops, pa.array([DELETE, TRUNCATE]))).as_py() or 0)

    @property
    def payload(self) -> dict[str, bool | int]:
        return {CHANGES: True, TRUNCATES: self.truncates, UPSERTS: self.upserts}


def changes_schema(schema: pa.Schema) -> pa.Schema:
    """The columns of a prepared file: those of the table, and of a change. A deleted row has only its key."""
    source = [field.with_nullable(True) for field in schema if field.name not in PROVENANCE_COLUMNS]
    provenance = [field for field in schema if field.name in PROVENANCE_COLUMNS]
    return pa.schema([*source, *(field.remove_metadata() for field in CHANGE_FIELDS), *provenance])
