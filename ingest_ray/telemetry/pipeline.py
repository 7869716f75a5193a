"""The providers and exporters of OpenTelemetry for one process. They are not the global ones: a program that uses this package as a
library keeps its own.

https://opentelemetry.io/docs/languages/python/exporters/
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from ingest_ray import __version__
from ingest_ray.secrets import follow, is_reference
from ingest_ray.settings import Settings
from ingest_ray.telemetry.log_records import LogRecords
from ingest_ray.telemetry.metrics import Metrics
from ingest_ray.telemetry.redaction import RedactedSpans
from ingest_ray.telemetry.spans import OtelTracer

SEND_EVERY_MS = 1_000
SKIP_S = 60.0  # after a flush that took too long, the collector is not waited for

SCOPE = "ingest_ray"


class Pipeline:
    def __init__(self, settings: Settings) -> None:
        """Raises `ConfigError` where a reference to a secret cannot be followed."""
        assert settings.telemetry is not None
        self.settings = telemetry = settings.telemetry
        self._headers = {name: _followed(name, value, settings) for name, value in telemetry.headers.items()}
        identity = {"service.name": telemetry.service_name, "service.version": __version__}
        resource = Resource.create({**telemetry.attributes, **identity, "service.instance.id": uuid.uuid4().hex})
        self._ending: list[Callable[[], object]] = []
        self._flushing: list[Callable[[], object]] = []
        self._skip_until = 0.0
        metered = self._meter_provider(resource)
        self.metrics = Metrics(metered.get_meter(SCOPE, __version__))
        self.tracer = OtelTracer(self._tracer_provider(resource).get_tracer(SCOPE, __version__), self.metrics)
        self._handler = self._log_handler(resource)

    def flush(self, limit_s: float) -> None:
        if time.monotonic() >= self._skip_until and not _within(limit_s, self._flushing):
            self._skip_until = time.monotonic() + SKIP_S

    def shutdown(self, limit_s: float) -> None:
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
        _within(limit_s, self._ending)

    def _sends(self, signal: str) -> bool:
        return signal in self.settings.signals

    def _endpoint(self, path: str) -> str | None:
        """None: what OTEL_EXPORTER_OTLP_ENDPOINT and its relatives say."""
        base = self.settings.endpoint
        return None if base is None else f"{base.rstrip('/')}/v1/{path}"

    def _tracer_provider(self, resource: Resource) -> TracerProvider:
        sampler = ParentBased(TraceIdRatioBased(self.settings.sample))
        provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
        if self._sends("traces"):
            exporter = OTLPSpanExporter(
                self._endpoint("traces"), headers=self._headers, timeout=self.settings.timeout_s
            )
            provider.add_span_processor(
                BatchSpanProcessor(RedactedSpans(exporter), schedule_delay_millis=SEND_EVERY_MS)
            )
            self._flushing.append(provider.force_flush)
            self._ending.append(provider.shutdown)
        return provider

    def _meter_provider(self, resource: Resource) -> MeterProvider:
        if not self._sends("metrics"):
            return MeterProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPMetricExporter(self._endpoint("metrics"), headers=self._headers, timeout=self.settings.timeout_s)
        reader = PeriodicExportingMetricReader(exporter, self.settings.metrics_every_s * 1_000)
        provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        self._flushing.append(provider.force_flush)
        self._ending.append(provider.shutdown)
        return provider

    def _log_handler(self, resource: Resource) -> LogRecords | None:
        if not self._sends("logs"):
            return None
        exporter = OTLPLogExporter(self._endpoint("logs"), headers=self._headers, timeout=self.settings.timeout_s)
        provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter, schedule_delay_millis=SEND_EVERY_MS))
        self._flushing.append(provider.force_flush)
        self._ending.append(provider.shutdown)
        handler = LogRecords(provider.get_logger(SCOPE, __version__))
        logging.getLogger().addHandler(handler)
        return handler


def _followed(name: str, value: str, settings: Settings) -> str:
    return follow(value, f"telemetry.headers.{name}", settings) if is_reference(value) else value


def _within(limit_s: float, works: Iterable[Callable[[], object]]) -> bool:
    """Whether all of them ended in time. The library has no limit of its own: an exporter tries again while a collector is away."""
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + limit_s
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)
