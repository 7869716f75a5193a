"""How a prepared slice says that its rows are changes of a log, and how such slices are committed."""

from collections.abc import Sequence

from ingest_ray.sdk.errors import LedgerMismatch
from ingest_ray.sdk.types import Prepared

CHANGES, TRUNCATES = "changes", "truncates"  # fields of `Prepared.payload`


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
