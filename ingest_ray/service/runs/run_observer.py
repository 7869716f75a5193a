"""Reports the progress of a run to the run channel, and reads stop requests from it."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict

from ingest_ray.catalog import run_channel, run_records
from ingest_ray.engine.run_order import Progress
from ingest_ray.run.throttle_states import throttles
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.types import Model, RunSummary
from ingest_ray.service.installation import Installation

log = logging.getLogger(__name__)

REPORT_EVERY_S = 1.0  # one small transaction a second: progress is visible, and a stop request is read soon
THROTTLES_EVERY_S = 5.0
MOST_THROTTLES = 20
MOST_SAMPLES = 240  # enough for a curve; above, every other sample is dropped, and samples are taken half as often


class Sample(Model):
    """The progress of a run after some seconds."""

    seconds: float
    rows: int
    bytes_staged: int
    slices: int


class Throttle(Model):
    """The request rate of a host at present; `reason` says what slowed it down last."""

    host: str
    endpoint_class: str
    rate: float
    in_flight: int
    requests: int
    refusals: int
    paused_s: float = 0.0
    reason: str | None = None


class ProgressReport(Model):
    """The last report of a run; stored in the run channel."""

    moment: Progress
    samples: tuple[Sample, ...] = ()
    throttles: tuple[Throttle, ...] = ()


def with_progress(begun: RunSummary, moment: Progress) -> RunSummary:
    """The summary of a run that goes on: where its process dies, its record has the counts of the last report."""
    counts = {"rows": moment.rows, "slices": moment.slices, "bytes_staged": moment.bytes_staged}
    return begun.model_copy(update={**counts, "seconds": round(moment.seconds, 3), "is_at_least": True})


class RunObserver:
    """Observes one run. A stop request concerns this run; `is_stopping` of the launch concerns all.

    A catalog that does not answer stops no run: the next attempt follows a second later.
    """

    def __init__(
        self,
        installation: Installation,
        observe: Callable[[Progress], None],
        is_stopping: Callable[[], bool],
        begun: RunSummary,
    ) -> None:
        self._installation = installation
        self._observe = observe
        self._is_stopping_requested = is_stopping
        self._run_id = begun.run_id
        self._begun = begun
        self._samples: list[Sample] = []
        self._sample_every_s = REPORT_EVERY_S
        self._reported_at = time.monotonic()
        self._stop_checked_at = float("-inf")
        self._is_stop_requested = False
        self._throttles: tuple[Throttle, ...] = ()
        self._throttles_read_at = float("-inf")

    def observe(self, moment: Progress) -> None:
        self._observe(moment)
        if moment.phase != "done" and time.monotonic() - self._reported_at < REPORT_EVERY_S:
            return
        self._reported_at = time.monotonic()
        self._sample(moment)
        self._read_throttles()
        document = ProgressReport(
            moment=moment, samples=tuple(self._samples), throttles=self._throttles
        ).model_dump_json()
        try:
            with self._installation.catalog.begin() as connection:
                run_channel.write_progress(connection, moment.run_id, document)
                run_records.note_progress(connection, with_progress(self._begun, moment))
        except IngestError as error:
            log.warning("progress could not be reported: %s", error.message)

    def is_stopping(self) -> bool:
        if self._is_stopping_requested():
            return True
        if not self._is_stop_requested and time.monotonic() - self._stop_checked_at >= REPORT_EVERY_S:
            self._stop_checked_at = time.monotonic()
            try:
                with self._installation.catalog.read() as connection:
                    self._is_stop_requested = run_channel.is_stop_requested(connection, self._run_id)
            except IngestError as error:
                log.warning("the catalog could not be read for a stop request: %s", error.message)
        return self._is_stop_requested

    def _read_throttles(self) -> None:
        """Seldom, because on a cluster throttles are in other processes."""
        if time.monotonic() - self._throttles_read_at < THROTTLES_EVERY_S:
            return
        self._throttles_read_at = time.monotonic()
        names = set(Throttle.model_fields)
        self._throttles = tuple(
            Throttle(**{name: value for name, value in asdict(state).items() if name in names})
            for state in throttles()[:MOST_THROTTLES]
        )

    def _sample(self, moment: Progress) -> None:
        if (
            self._samples
            and moment.phase != "done"
            and moment.seconds - self._samples[-1].seconds < self._sample_every_s * 0.9
        ):
            return
        rows, slices = moment.rows.committed, moment.slices.committed
        self._samples.append(
            Sample(seconds=round(moment.seconds, 2), rows=rows, bytes_staged=moment.bytes_staged, slices=slices)
        )
        if len(self._samples) > MOST_SAMPLES:
            self._samples = self._samples[::2]
            self._sample_every_s *= 2
