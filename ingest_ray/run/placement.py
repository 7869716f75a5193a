"""Decides where a run happens: in the calling process, or on Ray."""

from typing import Protocol

from ingest_ray.settings import Settings
from ingest_ray.work.planner import Outline


class MaybeAttached(Protocol):
    @property
    def is_attached(self) -> bool: ...


def is_inline(settings: Settings, outline: Outline, cluster: MaybeAttached) -> bool:
    """A plan that is smaller than starting a cluster costs needs none; one whose size nobody knows gets one, unless it
    is one slice that cannot be cut (a view, a table without a key): many readers are of no use to it."""
    if cluster.is_attached or settings.ray.address != "local":
        return False
    if len(outline.scopes) == 1 and outline.scopes[0].axis.kind == "whole":
        return True
    estimate = outline.estimated_bytes
    return estimate is not None and estimate < settings.ray.inline_below
