"""Reads and prepares in threads of the calling process; everything else one after the other, as inline.

For plans that are too small for a cluster to pay and large enough to use more than one core: drivers, Arrow, DuckDB and Parquet
work without Python's lock, so two threads keep two cores busy, and no process has to start.
"""

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context

from ingest_ray.core.messages import Event, Instruction
from ingest_ray.run.executor import is_slice_work
from ingest_ray.run.inline import InlineExecutor


class ThreadedExecutor:
    name = "inline"

    def __init__(self, inline: InlineExecutor, threads: int) -> None:
        self.seconds = inline.seconds
        self._inline = inline
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="slice")
        self._running: set[Future[Event | None]] = set()

    def submit(self, instruction: Instruction) -> None:
        if is_slice_work(instruction):
            self._running.add(self._pool.submit(copy_context().run, self._inline.perform, instruction))
        else:
            self._inline.submit(instruction)

    def wait(self, timeout_s: float) -> list[Event]:
        if not self._inline.is_idle:
            return self._inline.wait(timeout_s) + self._finished(0)
        return self._finished(timeout_s) if self._running else self._inline.wait(timeout_s)

    def stop(self) -> None:
        self._inline.stop()

    def close(self) -> None:
        """Stops the readers and waits for what is under way: no thread outlives the run that it works for."""
        self._inline.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _finished(self, timeout_s: float) -> list[Event]:
        done, self._running = wait(self._running, timeout_s, FIRST_COMPLETED)
        events = [future.result() for future in done]
        return [event for event in events if event is not None]
