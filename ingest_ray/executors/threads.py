"""Performs instructions in threads of the calling process.

    slices      read, map, prepare           as many threads as there are readers and preparers
    planner     plan, replan                 one: the probe's connection serves one thread at a time
    committer   sink, checkpoint, clean-up   one: state changes and commits happen in order

For plans that are too small for a cluster and large enough for more than one core: drivers, Arrow, DuckDB and Parquet release
Python's lock, so two threads keep two cores busy, and no process has to start. Readers that wait for a server get their next
slice while a commit or a count is under way.
"""

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context

from ingest_ray.core.messages import Abort, Drop, Event, Instruction, Plan, ReplanSlice
from ingest_ray.engine.executor import is_slice_work
from ingest_ray.executors.inline import InlineExecutor


class ThreadedExecutor:
    name = "inline"

    def __init__(self, inline: InlineExecutor, threads: int) -> None:
        self.seconds = inline.seconds
        self._inline = inline
        self._slices = ThreadPoolExecutor(threads, thread_name_prefix="slice")
        self._planner = ThreadPoolExecutor(1, thread_name_prefix="slice-planner")
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="slice-committer")
        self._running: set[Future[Event | None]] = set()
        self._unfinished: dict[Future[Event | None], Instruction] = {}

    def submit(self, instruction: Instruction) -> None:
        self._running.add(self.start(instruction))

    def start(self, instruction: Instruction) -> Future[Event | None]:
        """Performs an instruction in the context of the caller; `wait` does not return its event."""
        future = self._pool_for(instruction).submit(copy_context().run, self._inline.perform, instruction)
        self._unfinished[future] = instruction
        future.add_done_callback(lambda done: self._unfinished.pop(done, None))
        return future

    def wait(self, timeout_s: float) -> list[Event]:
        if not self._running:
            time.sleep(timeout_s)
            return []
        done, self._running = wait(self._running, timeout_s, FIRST_COMPLETED)
        events = [future.result() for future in done]
        for event in events:
            self._inline.close_slice(event)
        return [event for event in events if event is not None]

    def rows_being_read(self) -> tuple[int, int]:
        return self._inline.rows_being_read()

    def stop(self) -> None:
        self._inline.stop()

    def close(self) -> None:
        """Stops the readers and waits for running steps and clean-ups: no thread outlives its run."""
        self._inline.stop()
        for future, instruction in self._unfinished.copy().items():
            if not isinstance(instruction, Abort | Drop):
                future.cancel()
        for pool in (self._slices, self._planner, self._committer):
            pool.shutdown(wait=True)

    def _pool_for(self, instruction: Instruction) -> ThreadPoolExecutor:
        if is_slice_work(instruction):
            return self._slices
        return self._planner if isinstance(instruction, Plan | ReplanSlice) else self._committer
