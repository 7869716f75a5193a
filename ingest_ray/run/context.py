"""What every step of one run shares: its order, its reporter, the request to stop, and the lease on a cluster."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from ingest_ray.core.messages import Fault
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_layout import unit_key_of
from ingest_ray.run.cluster_lease import ClusterLease
from ingest_ray.run.reporter import RunReporter
from ingest_ray.run.start_retry import retry_unavailable
from ingest_ray.sdk.types import RunState

T = TypeVar("T")


@dataclass(frozen=True)
class AttemptResult:
    """How one attempt of a run ended. `is_restartable`: it lost a process or the plan, and may begin again from the checkpoint.
    `is_outgrown`: it stopped because its plan is too large for this process; it goes on from the checkpoint, on Ray."""

    state: RunState
    fault: Fault | None = None
    is_restartable: bool = False
    is_outgrown: bool = False


@dataclass(frozen=True)
class RunContext:
    order: RunOrder
    reporter: RunReporter
    is_stopping: Callable[[], bool]
    cluster: ClusterLease

    @cached_property
    def unit_key(self) -> str:
        """The KV key of the unit and sink."""
        return unit_key_of(self.order)

    def retry(self, request: Callable[[], T]) -> T:
        """Sends a request to the source or sink as often as a slice of the unit would be read; reports progress while it waits.

        Raises:
            SourceUnavailable, SinkUnavailable: the last attempt failed.
            RunStopped: a stop was requested between two attempts.
        """
        attempts = self.order.spec.policy.max_attempts
        return retry_unavailable(request, attempts, self.is_stopping, lambda: self.reporter.report("planning"))


__all__ = ["AttemptResult", "RunContext"]
