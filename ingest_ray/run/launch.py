"""Runs the units of one launch, one after the other, over one lease on a cluster."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from ingest_ray.core.messages import Stage
from ingest_ray.engine.run_order import Progress, RunOrder
from ingest_ray.engine.steps.failures import fault_of
from ingest_ray.http.permits import Watch, watching
from ingest_ray.kv import open_state
from ingest_ray.kv.keys import connections_key
from ingest_ray.logs import context as log_context
from ingest_ray.registry import strategy_for
from ingest_ray.run.cluster_lease import ClusterLease
from ingest_ray.run.context import RunContext
from ingest_ray.run.reporter import RunReporter
from ingest_ray.run.run import Run
from ingest_ray.run.start_retry import RunStopped, retry_unavailable
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.state.connection_share import ConnectionShare
from ingest_ray.state.lease import this_process
from ingest_ray.state.shared_permits import sharing_permits


def launch(
    orders: Iterable[RunOrder], observe: Callable[[Progress], None], is_stopping: Callable[[], bool]
) -> list[RunSummary]:
    return list(run_units(orders, observe, is_stopping))


def run_units(
    orders: Iterable[RunOrder], observe: Callable[[Progress], None], is_stopping: Callable[[], bool]
) -> Iterator[RunSummary]:
    """Runs each unit to its end. A unit that fails, or cannot begin, does not keep the others from running.

    The next order is taken from `orders` only after the caller has taken the summary of the one before.
    """
    with ClusterLease() as cluster:
        for order in orders:
            if not is_stopping():
                yield run_unit(order, observe, is_stopping, cluster)


def run_unit(
    order: RunOrder, observe: Callable[[Progress], None], is_stopping: Callable[[], bool], cluster: ClusterLease
) -> RunSummary:
    """Runs one unit. Every exception becomes a FAILED summary."""
    spec = order.spec
    with log_context(run=order.run_id, endpoint=spec.endpoint.endpoint_id, unit=spec.unit_id):
        try:
            with connection_share(order, is_stopping) as limited:
                reporter = RunReporter(limited, observe)
                with sharing_permits(order.settings), watching(Watch(is_stopping, reporter.note_wait)):
                    return Run(RunContext(limited, reporter, is_stopping, cluster)).execute()
        except RunStopped:
            return RunReporter(order, observe).summary(RunState.PAUSED, None, {}, None)
        except Exception as error:
            return RunReporter(order, observe).summary(RunState.FAILED, fault_of(Stage.PLAN, error), {}, None)


@contextmanager
def connection_share(order: RunOrder, is_stopping: Callable[[], bool] = lambda: False) -> Iterator[RunOrder]:
    """Yields the order with as many connections as the other runs leave of `policy.max_connections`, where that is set."""
    policy = order.spec.policy
    if policy.max_connections is None:
        yield order
        return
    endpoint = order.spec.endpoint
    key = connections_key(strategy_for(endpoint.template).descriptor.vendor, endpoint.endpoint_id)
    wanted = policy.max_connections if policy.max_parallel is None else policy.max_parallel + 1
    kv, most = open_state(order.settings), policy.max_connections
    share = retry_unavailable(
        lambda: ConnectionShare.take(kv, key, order.run_id, this_process(), most, wanted), 1, is_stopping
    )
    try:
        limited = policy.model_copy(update={"max_connections": share.count})
        config = order.spec.config.model_copy(update={"policy": limited})
        yield order.model_copy(update={"spec": order.spec.model_copy(update={"config": config})})
    finally:
        share.close()
