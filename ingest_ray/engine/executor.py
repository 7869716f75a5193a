"""The protocol between the coordinator and what performs the ledger's instructions."""

from typing import Protocol

from ingest_ray.core.messages import Event, Instruction, Map, Prepare, Read

TICK_S = 0.25  # interval at which progress is reported and a stop is noticed while no event arrives


class Executor(Protocol):
    """Performs instructions and returns events. `Drop` and `Abort` return no event; their failure is only logged."""

    name: str
    seconds: dict[str, float]
    """Seconds spent so far on `plan` and `state`; events carry the seconds of the other phases."""

    def submit(self, instruction: Instruction) -> None: ...

    def wait(self, timeout_s: float) -> list[Event]:
        """Returns the events since the last call, at the latest after `timeout_s`."""
        ...

    def stop(self) -> None:
        """Interrupts the readers. The ledger ignores what they return afterwards."""
        ...

    def rows_being_read(self) -> tuple[int, int]:
        """Rows read, and rows staged, of slices whose event `wait` has not returned yet."""
        ...

    def close(self) -> None:
        """Ends threads, actors and leases that belong to the executor."""
        ...


def is_slice_work(instruction: Instruction) -> bool:
    return isinstance(instruction, Read | Map | Prepare)
