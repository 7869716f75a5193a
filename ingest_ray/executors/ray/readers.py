"""The readers of a run, from the driver's side: a task for each slice, or actors that read several slices at once.

tasks     SQL: reading keeps a core busy, and a process is lost with one slice only
actors    HTTP: reading waits for responses; one process on each node sends many requests at once, for run after run
"""

import time
from collections.abc import Sequence
from math import ceil
from typing import Any, Protocol

import ray

from ingest_ray.core.messages import Read
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.executors.ray.reader import ACTOR_THREADS, ReaderActor, read, warm_up
from ingest_ray.executors.ray.reported_rows import RowChannel
from ingest_ray.settings import RaySettings

RETRY_S = 1.0  # between two questions to an actor that has no node


def reader_options(task: Any, settings: RaySettings, **options: Any) -> Any:
    """The task or actor with the resources of a reader. Ray reuses a worker process only for tasks with equal options.

    https://docs.ray.io/en/latest/ray-core/scheduling/labels.html
    """
    return task.options(
        num_cpus=1,
        resources=dict(settings.reader_resources) or None,
        label_selector=dict(settings.reader_labels) or None,
        **options,
    )


class Readers(Protocol):
    @property
    def are_warm(self) -> bool:
        """Whether a reader has what it needs to begin at once."""
        ...

    def start(self, instruction: Read) -> tuple[Any, Any] | None:
        """The reference of the event, and the reader; None while no reader is free."""
        ...

    def note_end(self, reader: Any, *, is_lost: bool) -> None: ...

    def interrupt(self, references: Sequence[Any]) -> None:
        """Interrupts the readers of these slices; they stage nothing."""
        ...

    def close(self) -> None: ...


class ReaderTasks:
    """`warms_up`: a worker process imports what reading needs while the run is planned; not for a single slice, which others read."""

    def __init__(self, order: RunOrder, order_ref: Any, pages: Any, rows: RowChannel, *, warms_up: bool = True) -> None:
        settings = order.settings.ray
        self._arguments = (order_ref, pages, rows)
        self._read = reader_options(read, settings)
        self._warm_up = reader_options(warm_up, settings).remote(order_ref) if warms_up else None
        self._is_warm = False

    @property
    def are_warm(self) -> bool:
        if not self._is_warm and self._warm_up is not None:
            self._is_warm = bool(ray.wait([self._warm_up], timeout=0)[0])
        return self._is_warm

    def start(self, instruction: Read) -> tuple[Any, Any] | None:
        return self._read.remote(*self._arguments, instruction.piece, instruction.attempt), None

    def note_end(self, reader: Any, *, is_lost: bool) -> None:
        """Ray starts another process for the next task."""

    def interrupt(self, references: Sequence[Any]) -> None:
        for reference in references:
            ray.cancel(reference, force=False, recursive=False)

    def close(self) -> None:
        if self._warm_up is not None:
            ray.cancel(self._warm_up, force=False, recursive=False)  # the task may still wait for a node


class PooledReader:
    """One reader actor, and whether it answers."""

    def __init__(self, settings: RaySettings) -> None:
        self._settings = settings
        self.busy = 0
        self.is_ready = False
        self._asked: Any = None
        self._asked_at = 0.0
        self._start()

    def _start(self) -> None:
        options = {} if self._settings.reader_labels else {"scheduling_strategy": "SPREAD"}
        self.actor = reader_options(ReaderActor, self._settings, **options).remote()

    def prepare(self, order_ref: Any) -> None:
        self._asked, self._asked_at = self.actor.prepare.remote(order_ref), time.monotonic()

    def refresh(self, order_ref: Any) -> None:
        if self.is_ready or self._asked is None or not ray.wait([self._asked], timeout=0)[0]:
            return
        try:
            ray.get(self._asked)
        except ray.exceptions.RayTaskError:
            self.is_ready = True  # the strategy does not load: reading raises its error
        except ray.exceptions.RayError as error:
            if time.monotonic() - self._asked_at < RETRY_S:
                return
            if isinstance(error, ray.exceptions.ActorDiedError):
                self._start()
            self.prepare(order_ref)
        else:
            self.is_ready = True


class ReaderPool:
    """The reader actors of one driver. They hold a CPU of their node each, so they end before a run whose readers are tasks."""

    def __init__(self) -> None:
        self._settings: RaySettings | None = None
        self._readers: list[PooledReader] = []

    def of_run(self, settings: RaySettings, nodes: int) -> list[PooledReader]:
        if self._settings != settings:
            self.close()
            self._settings = settings
        while len(self._readers) < nodes:
            self._readers.append(PooledReader(settings))
        return self._readers

    def close(self) -> None:
        for reader in self._readers:
            ray.kill(reader.actor)
        self._readers.clear()


class ReaderActors:
    """`at_once`: slices that the run reads at once, on all nodes together."""

    def __init__(
        self, order: RunOrder, order_ref: Any, pages: Any, rows: RowChannel, readers: list[PooledReader], at_once: int
    ) -> None:
        self._run_id = order.run_id
        self._order_ref = order_ref
        self._arguments = (order_ref, pages, rows)
        self._readers = readers
        self._at_once = at_once
        for reader in readers:
            reader.busy = 0
            reader.is_ready = False
            reader.prepare(order_ref)

    @property
    def are_warm(self) -> bool:
        return bool(self._ready())

    def _ready(self) -> list[PooledReader]:
        for reader in self._readers:
            reader.refresh(self._order_ref)
        return [reader for reader in self._readers if reader.is_ready]

    def start(self, instruction: Read) -> tuple[Any, Any] | None:
        ready = self._ready()
        if not ready:
            return None
        most = min(ACTOR_THREADS, ceil(self._at_once / len(ready)))
        reader = min(ready, key=lambda one: one.busy)
        if reader.busy >= most:
            return None
        reader.busy += 1
        return reader.actor.read.remote(*self._arguments, instruction.piece, instruction.attempt), reader

    def note_end(self, reader: Any, *, is_lost: bool) -> None:
        reader.busy -= 1
        if is_lost and reader.is_ready:
            reader.is_ready = False
            reader.prepare(self._order_ref)

    def interrupt(self, references: Sequence[Any]) -> None:
        for reader in self._readers:
            reader.actor.stop.remote(self._run_id)

    def close(self) -> None:
        """The actors stay for the next run."""
