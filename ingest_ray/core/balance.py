"""The checks that rows add up, slice by slice and commit by commit. Each returns what is wrong, or None."""

from ingest_ray.core.messages import Fault
from ingest_ray.core.works import Group
from ingest_ray.errors import LedgerMismatch, QuarantineLimit
from ingest_ray.models import Handle, Prepared, Receipt, Slice, Staged

_HINT = "it was not recorded as committed; this points to a defect of the source, the staging or the sink"


def _mismatch(message: str) -> Fault:
    return Fault.of(LedgerMismatch(message, hint=_HINT))


def of_staged(piece: Slice, staged: Staged) -> Fault | None:
    """Rows read are rows staged and rows in quarantine."""
    if staged.rows_read == staged.handle.rows + staged.rows_quarantined:
        return None
    return _mismatch(
        f"slice '{piece.slice_id}': {staged.rows_read} rows read, {staged.handle.rows} staged, "
        f"{staged.rows_quarantined} in quarantine"
    )


def of_prepared(piece: Slice, handle: Handle, prepared: Prepared) -> Fault | None:
    """The sink took the very rows that were staged: same number, same order-independent hash."""
    if prepared.rows == handle.rows and prepared.row_hash == handle.row_hash:
        return None
    return _mismatch(
        f"slice '{piece.slice_id}': {handle.rows} rows staged (hash {handle.row_hash}), "
        f"{prepared.rows} prepared (hash {prepared.row_hash})"
    )


def of_commit(group: Group, receipt: Receipt) -> Fault | None:
    """Rows prepared are rows committed and rows deduplicated."""
    dropped = receipt.rows_deduplicated + group.rows_dropped_before
    if receipt.rows_committed + dropped == group.rows:
        return None
    return _mismatch(
        f"commit {group.sequence}: {group.rows} rows prepared, {receipt.rows_committed} committed, {dropped} deduplicated"
    )


def of_quarantine(rows: int, allowed: int) -> Fault | None:
    if rows <= allowed:
        return None
    return Fault.of(
        QuarantineLimit(
            f"{rows} rows in quarantine, the policy allows {allowed}",
            hint="raise policy.max_quarantined_rows, or mend the rows at the source",
        )
    )
