"""Traces, metrics and logs of this process for a collector, by OTLP over HTTP: https://opentelemetry.io/docs/specs/otlp/.

Off by default: without `telemetry` in the settings, OpenTelemetry is not imported and nothing is recorded. A collector that is away
costs spans, never a run.
"""

import atexit
import logging
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.missing_packages import named_packages
from ingest_ray.sdk.types import RunSummary
from ingest_ray.settings import Settings

if TYPE_CHECKING:
    from temporalio.client import Interceptor

    from ingest_ray.telemetry.pipeline import Pipeline
    from ingest_ray.telemetry.series import Series

log = logging.getLogger(__name__)

END_S = 5.0  # how long the end of a process may wait for the collector

_pipeline: "Pipeline | None" = None
_lock = threading.Lock()


def configure(settings: Settings) -> None:
    """Begins to record, where the settings say so. A second call with the same settings changes nothing.

    Raises:
        ConfigError: a package is not installed, or a reference to a secret cannot be followed.
    """
    global _pipeline
    if settings.telemetry is None:
        return
    with _lock:
        if _pipeline is not None and _pipeline.settings == settings.telemetry:
            return
        with named_packages("telemetry", "otel"):
            from ingest_ray.telemetry.pipeline import Pipeline
        replaced, _pipeline = _pipeline, Pipeline(settings)
        tracing.install(_pipeline.tracer)
    if replaced is not None:
        replaced.shutdown(END_S)
    atexit.register(shutdown)


def configure_worker(settings: Settings) -> None:
    """As `configure`, for processes of a cluster: what is missing there costs their spans, never the run."""
    try:
        configure(settings)
    except IngestError as error:
        log.warning("no traces from this process: %s", error.message)


def flush(limit_s: float = 2.0) -> None:
    """Sends what was recorded so far, for processes that may be killed at any time."""
    if _pipeline is not None:
        _pipeline.flush(limit_s)


def shutdown(limit_s: float = END_S) -> None:
    """Sends the rest; nothing is recorded afterwards."""
    global _pipeline
    with _lock:
        ended, _pipeline = _pipeline, None
        if ended is not None:
            tracing.install(None)
    if ended is not None:
        ended.shutdown(limit_s)


def temporal_interceptors(settings: Settings) -> "list[Interceptor]":
    """What a client of Temporal carries the trace with, in the headers of workflows and activities; its worker does, too."""
    if settings.telemetry is None:
        return []
    configure(settings)
    from temporalio.contrib.opentelemetry import TracingInterceptor

    assert _pipeline is not None
    # Also of workflows that a schedule of Temporal, or a client without traces, has started.
    return [TracingInterceptor(_pipeline.tracer.tracer, always_create_workflow_spans=True)]


def record_run(summary: RunSummary) -> None:
    """Counts a run that ended."""
    if _pipeline is not None:
        _pipeline.metrics.record_run(summary)


def offer_series(names: Iterable[tuple[str, str, bool]], read: "Callable[[], Iterable[Series]]") -> None:
    """Sends series that are read when metrics are due. `names`: of each series its name, its text, and whether it is a counter."""
    if _pipeline is not None:
        _pipeline.metrics.offer(names, read)
