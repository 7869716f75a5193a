"""Rows of slices that are being read on the cluster: readers report them to the state actor, and the driver asks it for them.

reader --note_rows(slice, attempt, rows)--> state actor <--noted_rows()-- driver       nobody waits for an answer
"""

import time
from collections.abc import Container
from contextlib import suppress
from typing import Any

import ray

from ingest_ray.engine.open_slices import OpenSlice, sum_of_rows

REPORT_S = 0.5  # between two reports of one reader, and between two questions of the driver: a call costs about 1 ms


class RowReport:
    """Sends the rows of one attempt to the state actor, without waiting for it."""

    def __init__(self, state: Any, slice_id: str, attempt: int) -> None:
        self._state = state
        self._slice_id = slice_id
        self._attempt = attempt
        self._sent_at = time.monotonic()

    def note(self, rows_read: int, rows_staged: int) -> None:
        if time.monotonic() - self._sent_at < REPORT_S:
            return
        self._sent_at = time.monotonic()
        with suppress(ray.exceptions.RayError):  # a lost state actor ends the attempt by itself
            self._state.note_rows.remote(OpenSlice(self._slice_id, self._attempt, rows_read, rows_staged))


class ReportedRows:
    """The last reports of the readers, in the driver."""

    def __init__(self, state: Any) -> None:
        self._state = state
        self._answer: Any = None
        self._asked_at = time.monotonic()
        self._slices: dict[tuple[str, int], OpenSlice] = {}

    def refresh(self) -> None:
        """Takes an answer that has come, and asks again in time."""
        if self._answer is not None:
            if not ray.wait([self._answer], timeout=0)[0]:
                return
            answer, self._answer = self._answer, None
            with suppress(ray.exceptions.RayError):
                self._slices |= {(part.slice_id, part.attempt): part for part in ray.get(answer)}
        elif time.monotonic() - self._asked_at >= REPORT_S:
            self._asked_at = time.monotonic()
            with suppress(ray.exceptions.RayError):
                self._answer = self._state.noted_rows.remote()

    def rows(self, reading: Container[tuple[str, int]]) -> tuple[int, int]:
        """Rows read, and rows staged, of the attempts that are under way; forgets the others."""
        self._slices = {attempt: part for attempt, part in self._slices.items() if attempt in reading}
        return sum_of_rows(self._slices.values())
