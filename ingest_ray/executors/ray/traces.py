"""The trace of a run in the other processes of a cluster. The order carries its headers, so no environment has to be changed."""

from collections.abc import Iterator
from contextlib import contextmanager

from ingest_ray import telemetry
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.sdk import tracing


@contextmanager
def in_trace_of(order: RunOrder, *, is_sent: bool = False) -> Iterator[None]:
    """Inside, spans belong to the run. `is_sent`: they are sent before the call returns, because Ray may kill its process then."""
    if order.settings.telemetry is None:
        yield
        return
    telemetry.configure_worker(order.settings)
    try:
        with tracing.attached(order.trace):
            yield
    finally:
        if is_sent:
            telemetry.flush()
