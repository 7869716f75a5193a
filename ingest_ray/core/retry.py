"""How often a failed request is repeated, and after what pause: the same for a slice and for the probe before all slices."""

from dataclasses import dataclass

from ingest_ray.core.messages import Fault
from ingest_ray.sdk.errors import Recovery


def backoff_s(failures: int) -> float:
    """0, then 0.5 s doubling to 30 s."""
    return float(min(30.0, 0.5 * 2 ** (failures - 1))) if failures else 0.0


def pause_s(fault: Fault, failures: int) -> float:
    """The `Retry-After` of the other side where it gave one, else an exponential back-off."""
    return fault.retry_after_s if fault.retry_after_s is not None else backoff_s(failures)


@dataclass
class RetryBudget:
    """The attempts that one request has in all."""

    attempts: int
    failures: int = 0

    def after(self, fault: Fault) -> float | None:
        """Seconds until the next attempt; None after the last one."""
        self.failures += 1
        if fault.recovery is not Recovery.RETRY or self.failures >= self.attempts:
            return None
        return pause_s(fault, self.failures)
