"""The limits within which the ledger schedules one run."""

from dataclasses import dataclass

from ingest_ray.sdk.types import Effect


@dataclass(frozen=True)
class Limits:
    """Upper bounds of one run. Bytes are those of Arrow in memory."""

    readers: int = 2
    mappers: int = 0  # 0: nothing is mapped
    preparers: int = 2
    budget_bytes: int = 512 * 1024 * 1024
    slice_bytes: int = 64 * 1024 * 1024
    group_slices: int = 64  # an intent names each slice in about 300 bytes, and must stay below 64 KiB
    group_bytes: int = 512 * 1024 * 1024
    merge_bytes: int = 16 * 1024 * 1024  # below this a merge is mostly overhead: reading the log, writing one more file
    attempts: int = 5
    state_attempts: int = 10  # with back-off about two minutes: long enough for a state store to restart
    failed_slices: int = (
        20  # each is a gap in the checkpoint; more of them point to a fault of the segment or the source
    )
    quarantined_rows: int = 10_000
    quarantined_fraction: float = 1.0  # of the rows of a run that are committed at once
    landing_effects: frozenset[Effect] = frozenset({Effect.LOAD, Effect.ADVANCE})
    """Of the rows that are read for these, one at least has to fit. Those of a look-back may all be in quarantine already."""
    is_whole: bool = False
    keeps_staged: bool = False
    adopts_files: bool = False
    """Readers write files of the sink: its target has to be open before the first of them begins."""
