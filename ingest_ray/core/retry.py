"""How often something that failed is tried again, and after what pause: the same for a slice and for the look before all slices."""

from dataclasses import dataclass

from ingest_ray.core.messages import Fault
from ingest_ray.sdk.errors import Recovery


def backoff_s(failures: int) -> float:
    """0, then 0.5 s doubling to 30 s."""
    return float(min(30.0, 0.5 * 2 ** (failures - 1))) if failures else 0.0


def pause_s(fault: Fault, failures: int) -> float:
    """As long as the other side asks for, else the longer the more often it failed."""
    return fault.retry_after_s if fault.retry_after_s is not None else backoff_s(failures)


@dataclass
class RetryBudget:
    """With one thing that may fail: so many tries in all."""

    attempts: int
    failures: int = 0

    def after(self, fault: Fault) -> float | None:
        """Seconds until the next try; None: that was the last one."""
        self.failures += 1
        if fault.recovery is not Recovery.RETRY or self.failures >= self.attempts:
            return None
        return pause_s(fault, self.failures)
