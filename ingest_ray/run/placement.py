"""Decides where a run happens: in the calling process, or on Ray."""

import os
from typing import Protocol

from ingest_ray.settings import Settings
from ingest_ray.work.planner import Outline

THREADS_ABOVE = 32 * 1024 * 1024  # estimated bytes, about half a second of work: what is smaller stays in one thread
MOST_THREADS = 4  # readers; beyond that Python's lock is what they wait for


class MaybeAttached(Protocol):
    @property
    def is_attached(self) -> bool: ...


def is_inline(settings: Settings, outline: Outline, cluster: MaybeAttached) -> bool:
    """A plan that is smaller than starting a cluster costs needs none; one whose size nobody knows gets one."""
    if cluster.is_attached or settings.ray.address != "local":
        return False
    estimate = outline.estimated_bytes
    return estimate is not None and estimate < settings.ray.inline_below


def inline_readers(settings: Settings, outline: Outline) -> int:
    """How many slices are read at once in the calling process. Its own object store has one owner and one thread."""
    if settings.staging.provider == "object-store":
        return 1
    if settings.ray.inline_threads is not None:
        return settings.ray.inline_threads
    if (outline.estimated_bytes or 0) < THREADS_ABOVE:
        return 1
    return min(MOST_THREADS, settings.ray.num_cpus or os.cpu_count() or 1)
