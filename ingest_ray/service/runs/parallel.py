"""How many units of a launch run side by side, and what each then has of the source's connections."""

import os
from collections.abc import Sequence

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.settings import Settings
from ingest_ray.state.connection_share import MIN_CONNECTIONS

MOST_PARALLEL = 64


def parallel_units(orders: Sequence[RunOrder], wanted: int | None) -> int:
    """`wanted`, else one unit per core; never more than there are units, or than the source's connections allow."""
    if wanted is not None and not 1 <= wanted <= MOST_PARALLEL:
        raise ConfigError(f"--parallel {wanted}: a number from 1 to {MOST_PARALLEL} is expected")
    cap = _connections(orders)
    allowed = MOST_PARALLEL if cap is None else max(1, cap // MIN_CONNECTIONS)
    return max(1, min(wanted or _cores(), allowed, len(orders)))


def parallel_runs(settings: Settings) -> int:
    """How many runs a server carries out at once."""
    return settings.serve.parallel or _cores()


def with_connection_share(order: RunOrder, parallel: int) -> RunOrder:
    """The order with its part of `policy.max_connections`, because the first of several units would take all of them."""
    policy = order.spec.policy
    if policy.max_connections is None or parallel == 1:
        return order
    readers = max(1, policy.max_connections // parallel - 1)  # its planner has one connection, too
    limited = policy.model_copy(update={"max_parallel": min(readers, policy.max_parallel or readers)})
    config = order.spec.config.model_copy(update={"policy": limited})
    return order.model_copy(update={"spec": order.spec.model_copy(update={"config": config})})


def _connections(orders: Sequence[RunOrder]) -> int | None:
    caps = [cap for order in orders if (cap := order.spec.policy.max_connections) is not None]
    return min(caps, default=None)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
