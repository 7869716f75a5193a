"""Which staging a run uses, and what dead runs left in it."""

from functools import cache

from ingest_ray.contracts import Staging
from ingest_ray.kv import open_state
from ingest_ray.orders import RunOrder
from ingest_ray.settings import Settings
from ingest_ray.staging import MemoryPages, open_staging, sweep_stale
from ingest_ray.staging.objects import PageStore
from ingest_ray.state.documents import LeaseDocument, parsed
from ingest_ray.state.lease import is_live


def staging_for(order: RunOrder, store: PageStore | None = None) -> Staging:
    """`auto` is files: they survive every process, and cost the same as the object store (see DECISIONS.md)."""
    settings = order.settings
    if settings.staging.provider != "object-store":
        return open_staging(settings, "files")
    return open_staging(settings, "object-store", store or _process_pages(settings.staging.cap_bytes))


@cache
def _process_pages(cap_bytes: int) -> MemoryPages:
    """Without a cluster, the process that runs the unit is its object store."""
    return MemoryPages(cap_bytes)


def sweep_dead_runs(settings: Settings, staging: Staging) -> int:
    """Removes what runs left that have no live lease; returns the bytes freed."""
    if not staging.runs():
        return 0
    live = set()
    for key, value, _ in open_state(settings).scan("ingest::"):
        if key.endswith("::lease"):
            lease = parsed(LeaseDocument, key, value)
            if is_live(lease):
                live.add(lease.run_id)
    return sum(sweep_stale(staging, live).values())
