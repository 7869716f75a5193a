"""The record of a comparison of a unit with its sink, from its begin on: its progress, its liveness, and requests to stop it.

A unit has one live run, but a comparison is none: runs of the unit do not wait for it (see `run_records.running`).
"""

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from ingest_ray.catalog import comparisons, run_channel, run_records
from ingest_ray.engine.reports import ComparisonProgress
from ingest_ray.engine.run_order import Progress
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.types import RowCounts, RunSummary, SliceCounts
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.admission import RunRequest
from ingest_ray.service.runs.record_keeping import failed, paused
from ingest_ray.service.runs.run_liveness import INTERRUPTED, is_run_alive, this_owner
from ingest_ray.service.runs.run_observer import REPORT_EVERY_S, ProgressReport
from ingest_ray.state.lease import RENEW_S

log = logging.getLogger(__name__)


def open_comparison(
    installation: Installation, begun: RunSummary, within: Callable[[sa.Connection], None] = lambda _: None
) -> None:
    """Writes the record, unless there is one, and ends those of the unit's earlier comparisons whose process died.

    `within` is called in the transaction; where it raises, there is no record.
    """
    with installation.catalog.begin(is_alone=True) as connection:
        if run_records.find(connection, begun.run_id) is not None:
            return
        within(connection)
        for old in comparisons.running(connection, begun.ref):
            if not is_run_alive(connection, installation, old):
                run_records.finish(connection, failed(old.summary, INTERRUPTED))
        run_records.start(connection, begun, this_owner())
        request = RunRequest(endpoint_id=begun.endpoint_id, unit_id=begun.unit_id, requested_by=begun.requested_by)
        run_channel.open_channel(connection, begun.run_id, request.model_dump_json())
    report(installation, begun, ComparisonProgress(step="waiting"))


def await_turn(
    installation: Installation, begun: RunSummary, turns: threading.Semaphore, is_stopping: Callable[[], bool]
) -> bool:
    """Takes a turn; False where the comparison was stopped while it waited, and has ended."""
    while not turns.acquire(timeout=REPORT_EVERY_S):
        report(installation, begun, ComparisonProgress(step="waiting"))
        if is_stopping() or is_stop_requested(installation, begun.run_id):
            finish(installation, paused(begun))
            return False
    return True


def finish(installation: Installation, summary: RunSummary) -> None:
    with installation.catalog.begin() as connection:
        run_records.finish(connection, summary)


def report(installation: Installation, begun: RunSummary, progress: ComparisonProgress) -> None:
    """Writes the progress, which on other hosts is the sign of life."""
    moment = Progress(
        run_id=begun.run_id,
        endpoint_id=begun.endpoint_id,
        unit_id=begun.unit_id,
        phase=progress.step,
        rows=RowCounts(read=progress.rows),
        slices=SliceCounts(planned=progress.blocks, committed=progress.blocks_done),
        seconds=progress.seconds,
    )
    with installation.catalog.begin() as connection:
        run_channel.write_progress(connection, begun.run_id, ProgressReport(moment=moment).model_dump_json())


def is_stop_requested(installation: Installation, run_id: str) -> bool:
    with installation.catalog.read() as connection:
        return run_channel.is_stop_requested(connection, run_id)


class ComparisonRecord:
    """Keeps the record of one comparison while it goes on. A thread of its own writes to the catalog, because one statement at the
    source may take long; a catalog that does not answer stops no comparison."""

    def __init__(
        self,
        installation: Installation,
        begun: RunSummary,
        observe: Callable[[ComparisonProgress], None],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._installation, self._begun = installation, begun
        self._observe, self._is_stopping = observe, is_stopping
        self._progress = ComparisonProgress(step="starting")
        self._is_stop_requested = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write, name=f"comparison-{begun.run_id}", daemon=True)

    def __enter__(self) -> Self:
        open_comparison(self._installation, self._begun)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if error is not None and not isinstance(error, IngestError):
            finish(self._installation, failed(self._begun, INTERRUPTED))

    def observe(self, progress: ComparisonProgress) -> None:
        self._progress = progress
        self._observe(progress)

    def is_stopping(self) -> bool:
        return self._is_stop_requested or self._is_stopping()

    def _write(self) -> None:
        written, written_at = None, float("-inf")
        while not self._ended.wait(REPORT_EVERY_S):
            progress = self._progress
            try:
                self._is_stop_requested = is_stop_requested(self._installation, self._begun.run_id)
                if progress != written or time.monotonic() - written_at >= RENEW_S:
                    report(self._installation, self._begun, progress)
                    written, written_at = progress, time.monotonic()
            except IngestError as error:
                log.warning("the progress of a comparison could not be reported: %s", error.message)
