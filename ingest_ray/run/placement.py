"""Decides where a run executes: in the calling process, in one or several threads of it, or on Ray."""

import os
from typing import Protocol

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.planner import PlanSummary
from ingest_ray.registry import strategy_for

# Estimated bytes: one slice of the default size. Less than that has no second slice to read in parallel.
THREADS_ABOVE_BYTES = 32 * 1024 * 1024
MAX_READER_THREADS = 4  # more were not measured (bench/RESULTS.md)
HTTP_READERS_PER_CPU = 3  # readers of an HTTP source mostly wait for responses


class ClusterConnection(Protocol):
    @property
    def is_attached(self) -> bool: ...


def readers_per_cpu(order: RunOrder) -> int:
    return HTTP_READERS_PER_CPU if _is_http(order) else 1


def skips_local_probe(order: RunOrder, cluster: ClusterConnection, *, is_first: bool) -> bool:
    """A first load that is large by the catalog's estimate runs on a cluster whatever a probe returns: the probe is left to Ray."""
    if cluster.is_attached or order.settings.ray.address != "local":
        return is_first
    return is_first and (order.spec.dataset.estimated_bytes or 0) > order.settings.ray.inline_below


def is_inline(order: RunOrder, plan_summary: PlanSummary, cluster: ClusterConnection) -> bool:
    """True for a plan that is read faster than a cluster starts.

    A plan of unknown size runs on Ray, unless it is one slice that cannot be cut (a view, a table without a key).
    """
    if cluster.is_attached or order.settings.ray.address != "local":
        return False
    if len(plan_summary.scopes) == 1 and plan_summary.scopes[0].axis.kind == "whole":
        return True
    estimate = plan_summary.estimated_bytes
    return estimate is not None and estimate < order.settings.ray.inline_below


def inline_readers(order: RunOrder, plan_summary: PlanSummary) -> int:
    """How many slices the calling process reads at once. Object-store staging in this process allows one thread."""
    settings = order.settings
    if settings.staging.provider == "object-store":
        return 1
    if settings.ray.inline_threads is not None:
        return settings.ray.inline_threads
    cores = settings.ray.num_cpus or os.cpu_count() or 1
    if _is_http(order):  # a few rows of many segments are many requests to wait for
        return HTTP_READERS_PER_CPU * cores
    return min(MAX_READER_THREADS, cores) if (plan_summary.estimated_bytes or 0) >= THREADS_ABOVE_BYTES else 1


def _is_http(order: RunOrder) -> bool:
    return strategy_for(order.spec.endpoint.template).descriptor.family == "HTTP"
