"""Decides where a run happens: in the calling process, in one or several threads, or on Ray."""

import os
from typing import Protocol

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.planner import PlanSummary
from ingest_ray.registry import strategy_for

THREADS_ABOVE = (
    32 * 1024 * 1024
)  # estimated bytes, one slice of the default size: less has nothing to read side by side
MOST_THREADS = 4  # readers; more were not measured (bench/RESULTS.md)
WAITING_READERS = 3  # per CPU, of a source behind HTTP: its readers mostly wait for answers


class MaybeAttached(Protocol):
    @property
    def is_attached(self) -> bool: ...


def readers_per_cpu(order: RunOrder) -> int:
    return WAITING_READERS if _is_http(order) else 1


def needs_no_look(order: RunOrder, cluster: MaybeAttached, *, is_first: bool) -> bool:
    """A first load that the catalog calls large goes to a cluster whatever a probe says, so none is made here before."""
    if cluster.is_attached or order.settings.ray.address != "local":
        return is_first
    return is_first and (order.spec.dataset.estimated_bytes or 0) > order.settings.ray.inline_below


def is_inline(order: RunOrder, plan_summary: PlanSummary, cluster: MaybeAttached) -> bool:
    """A plan that is smaller than starting a cluster costs needs none; one whose size nobody knows gets one, unless it
    is one slice that cannot be cut (a view, a table without a key): many readers are of no use to it."""
    if cluster.is_attached or order.settings.ray.address != "local":
        return False
    if len(plan_summary.scopes) == 1 and plan_summary.scopes[0].axis.kind == "whole":
        return True
    estimate = plan_summary.estimated_bytes
    return estimate is not None and estimate < order.settings.ray.inline_below


def inline_readers(order: RunOrder, plan_summary: PlanSummary) -> int:
    """How many slices are read at once in the calling process. Its own object store has one owner and one thread."""
    settings = order.settings
    if settings.staging.provider == "object-store":
        return 1
    if settings.ray.inline_threads is not None:
        return settings.ray.inline_threads
    cores = settings.ray.num_cpus or os.cpu_count() or 1
    if _is_http(order):  # a few rows of many segments are many answers to wait for
        return WAITING_READERS * cores
    return min(MOST_THREADS, cores) if (plan_summary.estimated_bytes or 0) >= THREADS_ABOVE else 1


def _is_http(order: RunOrder) -> bool:
    return strategy_for(order.spec.endpoint.template).descriptor.family == "HTTP"
