"""Decides where a run happens: in the calling process, or on Ray."""

from typing import Protocol

from ingest_ray.models import Dataset
from ingest_ray.settings import Settings
from ingest_ray.work.planner import Outline


class MaybeAttached(Protocol):
    @property
    def is_attached(self) -> bool: ...


def needs_no_look(settings: Settings, dataset: Dataset, cluster: MaybeAttached, *, is_first: bool) -> bool:
    """A first load that the catalog calls large goes to a cluster whatever a probe says, so none is made here before."""
    if cluster.is_attached or settings.ray.address != "local":
        return is_first
    return is_first and (dataset.estimated_bytes or 0) > settings.ray.inline_below


def is_inline(settings: Settings, outline: Outline, cluster: MaybeAttached) -> bool:
    """A plan that is smaller than starting a cluster costs needs none; one whose size nobody knows gets one, unless it
    is one slice that cannot be cut (a view, a table without a key): many readers are of no use to it."""
    if cluster.is_attached or settings.ray.address != "local":
        return False
    if len(outline.scopes) == 1 and outline.scopes[0].axis.kind == "whole":
        return True
    estimate = outline.estimated_bytes
    return estimate is not None and estimate < settings.ray.inline_below
