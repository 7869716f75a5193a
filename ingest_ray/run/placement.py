"""Decides where a run executes: in the calling process, in one or several threads of it, or on Ray."""

import os

from ingest_ray.core.ledger import Ledger
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.planner import PlanSummary
from ingest_ray.registry import strategy_for

# Estimated bytes: one slice of the default size. Less than that has no second slice to read in parallel.
THREADS_ABOVE_BYTES = 32 * 1024 * 1024
MAX_READER_THREADS = 4  # more were not measured (bench/RESULTS.md)
HTTP_READERS_PER_CPU = 3  # readers of an HTTP source mostly wait for responses


def readers_per_cpu(order: RunOrder) -> int:
    return HTTP_READERS_PER_CPU if is_http(order) else 1


def skips_local_probe(order: RunOrder, *, is_first: bool) -> bool:
    """A first load that is large by the catalog's estimate runs on Ray whatever a probe returns: the probe is left to Ray."""
    ray = order.settings.ray
    is_always_on_cluster = ray.inline_below == 0 and ray.address != "local"
    return is_first and (is_always_on_cluster or (order.spec.dataset.estimated_bytes or 0) > ray.inline_below)


def is_inline(order: RunOrder, plan_summary: PlanSummary) -> bool:
    """True for a plan that is read faster than the actors of a run start, whether a cluster is there or not.

    A plan of unknown size begins in the calling process; `OutgrownPlan` says when it is to go on on Ray.
    """
    ray = order.settings.ray
    if ray.address == "local" and is_single_slice(plan_summary):
        return True
    estimate = plan_summary.estimated_bytes
    return ray.inline_below > 0 if estimate is None else estimate < ray.inline_below


def is_single_slice(plan_summary: PlanSummary) -> bool:
    """True where nothing can be read in parallel: a view, a table without a key, a log."""
    return len(plan_summary.scopes) == 1 and plan_summary.scopes[0].axis.kind in ("whole", "log")


def fits_one_slice(order: RunOrder, plan_summary: PlanSummary) -> bool:
    """By its estimate; False where nothing is known."""
    estimate = plan_summary.estimated_bytes
    return len(plan_summary.scopes) == 1 and estimate is not None and estimate < order.spec.policy.target_slice_bytes


class OutgrownPlan:
    """Whether a plan of unknown size turned out too large for the calling process: more than `ray.inline_below` is staged or
    committed, and slices are left to read."""

    def __init__(self, order: RunOrder, plan_summary: PlanSummary, ledger: Ledger) -> None:
        self._limit_bytes = order.settings.ray.inline_below
        self._may_move = plan_summary.estimated_bytes is None and not is_single_slice(plan_summary)
        self._ledger = ledger
        self.is_outgrown = False

    def check(self) -> bool:
        """Once true, it stays true: what is read again counts less for a while."""
        if self._may_move and self._ledger.bytes_staged >= self._limit_bytes and self._ledger.has_unread_slices:
            self.is_outgrown = True
        return self.is_outgrown


def inline_readers(order: RunOrder, plan_summary: PlanSummary) -> int:
    """How many slices the calling process reads at once. Object-store staging in this process allows one thread."""
    settings = order.settings
    if settings.staging.provider == "object-store":
        return 1
    if settings.ray.inline_threads is not None:
        return settings.ray.inline_threads
    cores = settings.ray.num_cpus or os.cpu_count() or 1
    if is_http(order):  # a few rows of many segments are many requests to wait for
        return HTTP_READERS_PER_CPU * cores
    return min(MAX_READER_THREADS, cores) if (plan_summary.estimated_bytes or 0) >= THREADS_ABOVE_BYTES else 1


def is_http(order: RunOrder) -> bool:
    return strategy_for(order.spec.endpoint.template).descriptor.family == "HTTP"
