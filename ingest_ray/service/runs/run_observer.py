"""A run's own end of its line: it tells how far it is, and hears that it should stop."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict

from ingest_ray.catalog import run_channel
from ingest_ray.engine.run_order import Progress
from ingest_ray.run.throttle_states import throttles
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.types import Model
from ingest_ray.service.installation import Installation

log = logging.getLogger(__name__)

REPORT_EVERY_S = 1.0  # one small transaction a second: a person sees it move, and a stop is soon heard
THROTTLES_EVERY_S = 5.0
MOST_THROTTLES = 20
MOST_SAMPLES = 240  # enough for a curve; then every other one is given up, and they are taken half as often


class Sample(Model):
    """How far a run was after so many seconds."""

    seconds: float
    rows: int
    bytes_staged: int
    slices: int


class Throttle(Model):
    """How fast a host may be asked now; `reason` says what slowed it down last."""

    host: str
    endpoint_class: str
    rate: float
    in_flight: int
    requests: int
    refusals: int
    paused_s: float = 0.0
    reason: str | None = None


class ProgressReport(Model):
    """What a run has told so far."""

    moment: Progress
    samples: tuple[Sample, ...] = ()
    throttles: tuple[Throttle, ...] = ()


class RunObserver:
    """Of one launch, whose units run one after the other. A request to stop concerns the unit that is running.

    A catalog that does not answer stops no run: it is asked again a second later.
    """

    def __init__(
        self, installation: Installation, observe: Callable[[Progress], None], stopping: Callable[[], bool]
    ) -> None:
        self._installation = installation
        self._observe = observe
        self._stopping = stopping
        self.begin("")

    def begin(self, run_id: str) -> None:
        self._run_id = run_id
        self._samples: list[Sample] = []
        self._apart_s = REPORT_EVERY_S
        self._told_at = time.monotonic()
        self._asked_at = float("-inf")
        self._is_stop_requested = False
        self._throttles: tuple[Throttle, ...] = ()
        self._looked_at = float("-inf")

    def observe(self, moment: Progress) -> None:
        self._observe(moment)
        if moment.phase != "done" and time.monotonic() - self._told_at < REPORT_EVERY_S:
            return
        self._told_at = time.monotonic()
        self._sample(moment)
        self._look_at_throttles()
        told = ProgressReport(moment=moment, samples=tuple(self._samples), throttles=self._throttles).model_dump_json()
        try:
            with self._installation.catalog.begin() as connection:
                run_channel.tell(connection, moment.run_id, told)
        except IngestError as error:
            log.warning("progress could not be told: %s", error.message)

    def is_stopping(self) -> bool:
        if self._stopping():
            return True
        if self._run_id and not self._is_stop_requested and time.monotonic() - self._asked_at >= REPORT_EVERY_S:
            self._asked_at = time.monotonic()
            try:
                with self._installation.catalog.read() as connection:
                    self._is_stop_requested = run_channel.is_stop_requested(connection, self._run_id)
            except IngestError as error:
                log.warning("the catalog could not be asked for a stop: %s", error.message)
        return self._is_stop_requested

    def _look_at_throttles(self) -> None:
        """Not every time: on a cluster they are other processes."""
        if time.monotonic() - self._looked_at < THROTTLES_EVERY_S:
            return
        self._looked_at = time.monotonic()
        names = set(Throttle.model_fields)
        self._throttles = tuple(
            Throttle(**{name: value for name, value in asdict(state).items() if name in names})
            for state in throttles()[:MOST_THROTTLES]
        )

    def _sample(self, moment: Progress) -> None:
        if (
            self._samples
            and moment.phase != "done"
            and moment.seconds - self._samples[-1].seconds < self._apart_s * 0.9
        ):
            return
        rows, slices = moment.rows.committed, moment.slices.committed
        self._samples.append(
            Sample(seconds=round(moment.seconds, 2), rows=rows, bytes_staged=moment.bytes_staged, slices=slices)
        )
        if len(self._samples) > MOST_SAMPLES:
            self._samples = self._samples[::2]
            self._apart_s *= 2
