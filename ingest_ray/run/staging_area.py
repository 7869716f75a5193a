"""Chooses the staging of a run, sweeps what dead runs left there, and marks what is kept for `remap`."""

import logging
import time
from functools import cache

from ingest_ray.engine.masking.layout import layout_of
from ingest_ray.engine.readers.lost_rows import list_key_folders, sweep_key_files
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_layout import unit_key_of
from ingest_ray.kv import open_state
from ingest_ray.quarantine.rejected_rows import list_pending, sweep_pending
from ingest_ray.sdk.contracts import Staging
from ingest_ray.sdk.errors import SinkUnavailable
from ingest_ray.secrets.locations import quarantine_location, staging_location
from ingest_ray.settings import Settings
from ingest_ray.staging import MemoryPages, open_staging, sweep_stale
from ingest_ray.staging.kept_runs import KeptRun, list_kept_runs, mark_kept
from ingest_ray.staging.object_store import PageStore
from ingest_ray.state.documents import IntentDocument, LeaseDocument, parsed
from ingest_ray.state.lease import is_live

log = logging.getLogger(__name__)


def staging_for(order: RunOrder, store: PageStore | None = None) -> Staging:
    """`auto` means files: they survive every process and cost no more than the object store (see DECISIONS.md)."""
    settings = order.settings
    if settings.staging.provider != "object-store":
        return open_staging(settings, "files")
    return open_staging(settings, "object-store", store or _process_pages(settings.staging.cap_bytes))


@cache
def _process_pages(cap_bytes: int) -> MemoryPages:
    """The object store of a run without a cluster: memory of the process that runs it."""
    return MemoryPages(cap_bytes)


def keeps_staged(order: RunOrder) -> bool:
    """True where staged pages stay until the end of the run, so that they can be mapped again: CDM mode, on files."""
    return order.spec.is_cdm and order.settings.staging.provider != "object-store"


def begin_staging(order: RunOrder, staging: Staging) -> None:
    """Sweeps what dead runs left, then marks this run as kept before its first page, so that a crash does not lose the mark."""
    sweep_dead_runs(order.settings, staging)
    _mark(order, is_complete=False)


def end_staging(order: RunOrder, staging: Staging, *, is_complete: bool) -> None:
    if not _mark(order, is_complete=is_complete):
        staging.sweep(order.run_id)


def _mark(order: RunOrder, *, is_complete: bool) -> bool:
    """False where nothing of the run is kept: a replay and a remap read what an earlier run kept."""
    seconds = order.spec.policy.keep_staging
    if not seconds or not keeps_staged(order) or order.task not in ("ingest", "backfill"):
        return False
    root, kept = staging_location(order.settings), kept_run(order)
    before = next((run for run in list_kept_runs(root, kept.unit_key) if run.run_id == kept.run_id), kept)
    mark_kept(root, kept.model_copy(update={"started_at": before.started_at, "is_complete": is_complete}))
    return True


def kept_run(order: RunOrder) -> KeptRun:
    now = time.time()
    until = now + order.spec.policy.keep_staging
    return KeptRun(
        run_id=order.run_id,
        unit_key=unit_key_of(order),
        started_at=now,
        until=until,
        read_at=order.read_at,
        layout=layout_of(order.spec.config, order.settings),
    )


def sweep_dead_runs(settings: Settings, staging: Staging) -> int:
    """Removes what runs without a live lease left: pages that are not marked as kept, pending files of the quarantine, and keys of
    repairs.

    Returns the bytes of the pages.
    """
    pending = _list_pending(settings)  # before the leases are read: a run has its lease before it rejects a row
    root = staging_location(settings)
    repairs = list_key_folders(root)
    if not pending and not repairs and not staging.runs():
        return 0
    live, promising = set(), set()
    for key, value, _ in open_state(settings).scan("ingest::"):
        if key.endswith("::lease"):
            lease = parsed(LeaseDocument, key, value)
            if is_live(lease):
                live.add(lease.run_id)
        elif key.endswith("::intent"):
            intent = parsed(IntentDocument, key, value)
            if not intent.is_settled:  # the unit's next run may make its files official
                promising.add(intent.run_id)
    if pending:
        sweep_pending(quarantine_location(settings), pending, live | promising)
    sweep_key_files(root, repairs, live, time.time())
    if staging.provider == "files":
        live |= {kept.run_id for kept in list_kept_runs(root)}
    return sum(sweep_stale(staging, live).values())


def _list_pending(settings: Settings) -> list[str]:
    """None where the quarantine does not answer: only a run that rejects rows needs it."""
    try:
        return list_pending(quarantine_location(settings))
    except SinkUnavailable as error:
        log.warning("pending files of the quarantine could not be swept: %s", error.message)
        return []
