"""The seam between the ledger's instructions and whoever carries them out."""

from typing import Protocol

from ingest_ray.core.messages import Event, Instruction, Map, Prepare, Read


class Executor(Protocol):
    """Carries instructions out and reports events. `Drop` and `Abort` are not reported, and may fail quietly."""

    name: str
    seconds: dict[str, float]
    """What planning and state cost so far; the other phases report themselves."""

    def submit(self, instruction: Instruction) -> None: ...

    def wait(self, timeout_s: float) -> list[Event]:
        """Returns what happened, at the latest after `timeout_s`."""
        ...

    def stop(self) -> None:
        """Readers should come to an end; what they report does not count any more."""
        ...


def is_slice_work(instruction: Instruction) -> bool:
    return isinstance(instruction, Read | Map | Prepare)
