"""Checks that rows add up, per slice and per commit. Each returns a fault, or None where the counts balance."""

from ingest_ray.core.messages import Fault
from ingest_ray.core.slice_table import CommitGroup
from ingest_ray.sdk.errors import LedgerMismatch, QuarantineLimit
from ingest_ray.sdk.types import Handle, Mapped, Prepared, Receipt, RowCounts, Slice, Staged

_HINT = "it was not recorded as committed; this points to a defect of the source, the staging or the sink"


def _mismatch(message: str) -> Fault:
    return Fault.of(LedgerMismatch(message, hint=_HINT))


def check_staged(piece: Slice, staged: Staged) -> Fault | None:
    """Rows read = rows staged + rows in quarantine."""
    if staged.rows_read == staged.handle.rows + staged.rows_quarantined:
        return None
    return _mismatch(
        f"slice '{piece.slice_id}': {staged.rows_read} rows read, {staged.handle.rows} staged, "
        f"{staged.rows_quarantined} in quarantine"
    )


def check_mapped(piece: Slice, handle: Handle, mapped: Mapped) -> Fault | None:
    """The mapper read exactly the staged rows (same hash), and each was mapped or is in quarantine."""
    if handle.rows == mapped.rows + mapped.rows_quarantined and mapped.row_hash == handle.row_hash:
        return None
    return _mismatch(
        f"slice '{piece.slice_id}': {handle.rows} rows staged (hash {handle.row_hash}), {mapped.rows} mapped and "
        f"{mapped.rows_quarantined} in quarantine (hash {mapped.row_hash})"
    )


def check_prepared(piece: Slice, handle: Handle, mapped: Mapped | None, prepared: Prepared) -> Fault | None:
    """The sink prepared exactly the staged rows, without those in quarantine: same number and, where the sink hashes them, same
    order-independent hash. What a sink reads are pages whose checksums and counts were compared.

    In CDM mode it prepared all rows of each model that the mapped source rows produced, without those of source rows in quarantine.
    """
    if mapped is not None:
        made = {model.model_id: model.rows for model in mapped.models}
        is_complete = prepared.models == made or (
            prepared.rows_quarantined > 0
            and prepared.models.keys() == made.keys()
            and all(rows <= made[name] for name, rows in prepared.models.items())
        )
        if prepared.rows + prepared.rows_quarantined == mapped.rows and is_complete:
            return None
        return _mismatch(
            f"slice '{piece.slice_id}': {mapped.rows} rows mapped to {made}, {prepared.rows} prepared as {prepared.models}"
        )
    has_same_rows = prepared.row_hash in ("", handle.row_hash)
    if prepared.rows + prepared.rows_quarantined == handle.rows and has_same_rows:
        return None
    return _mismatch(
        f"slice '{piece.slice_id}': {handle.rows} rows staged (hash {handle.row_hash}), "
        f"{prepared.rows} prepared and {prepared.rows_quarantined} in quarantine (hash {prepared.row_hash})"
    )


def check_commit(group: CommitGroup, receipt: Receipt) -> Fault | None:
    """Rows prepared = rows committed + rows deduplicated."""
    dropped = receipt.rows_deduplicated + group.rows_dropped_before
    wrong = [
        f"{name}: {counts.mapped} mapped, {counts.committed} committed, {counts.deduplicated} deduplicated"
        for name, counts in receipt.models.items()
        if counts.mapped != counts.committed + counts.deduplicated or counts.mapped != group.models.get(name)
    ]
    if wrong:
        return _mismatch(f"commit {group.sequence}: {'; '.join(wrong)}")
    if receipt.rows_committed + dropped == group.rows:
        return None
    return _mismatch(
        f"commit {group.sequence}: {group.rows} rows prepared, {receipt.rows_committed} committed, {dropped} deduplicated"
    )


def check_replacement(rows: RowCounts, allowed_fraction: float, reason: str | None) -> Fault | None:
    """Before all rows of a run are committed at once: they must not replace good rows where most of them are in quarantine."""
    if not rows.quarantined or (rows.quarantined <= allowed_fraction * rows.read and rows.quarantined < rows.read):
        return None
    return _quarantine_limit(
        f"{rows.quarantined} of {rows.read} rows do not fit, and nothing was committed",
        reason,
        "mend the rows at the source, leave their column out with policy.columns, or raise policy.max_quarantine_fraction",
    )


def check_some_rows_landed(rows: RowCounts, reason: str | None) -> Fault | None:
    if not rows.quarantined or rows.quarantined < rows.read:
        return None
    return _quarantine_limit(
        f"all {rows.quarantined} rows that were read are in quarantine",
        reason,
        "`ingest-ray quarantine show`; mend the rows at the source, or leave their column out with policy.columns",
    )


def check_quarantine_limit(rows: int, allowed: int, reason: str | None) -> Fault | None:
    if rows <= allowed:
        return None
    return _quarantine_limit(
        f"{rows} rows in quarantine, the policy allows {allowed}",
        reason,
        "raise policy.max_quarantined_rows, or mend the rows at the source",
    )


def _quarantine_limit(message: str, reason: str | None, hint: str) -> Fault:
    return Fault.of(QuarantineLimit(message + (f"; the first one: {reason}" if reason else ""), hint=hint))
