"""`/metrics`: requests to this process, and runs and every unit in the catalog at the time of the scrape."""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ingest_ray.sdk.errors import IngestError
from ingest_ray.server.unit_metrics import Family, alert_families, scrape_seconds, unit_families
from ingest_ray.service.installation import Installation
from ingest_ray.service.monitoring.delivery import read_alert_state
from ingest_ray.service.monitoring.freshness import measure_units
from ingest_ray.service.runs.metrics import read_metrics

PATHS = (
    "/graphql",
    "/console",
    "/healthz",
    "/readyz",
    "/metrics",
    "/login",
    "/logout",
)  # labels for other paths would have no bound


def route_of(path: str) -> str:
    return next((prefix for prefix in PATHS if path == prefix or path.startswith(f"{prefix}/")), "other")


class Metrics:
    def __init__(self, installation: Installation) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "ingest_http_requests", "Requests", ["method", "path", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "ingest_http_request_seconds", "Seconds per request", ["path"], registry=self.registry
        )
        self.registry.register(CatalogCollector(installation))

    def observe_request(self, method: str, path: str, status: int, seconds: float) -> None:
        label = route_of(path)
        self._requests.labels(method if method in ("GET", "POST") else "other", label, str(status)).inc()
        self._seconds.labels(label).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)


class CatalogCollector(Collector):
    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())  # nothing is read before the first scrape

    def collect(self) -> Iterator[Family]:
        began = time.monotonic()
        up = GaugeMetricFamily("ingest_catalog_up", "1 where the catalog answers")
        try:
            metrics, measured = read_metrics(self._installation), measure_units(self._installation)
            alerts = read_alert_state(self._installation)
        except IngestError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        runs = GaugeMetricFamily("ingest_runs", "Runs in the catalog", labels=["endpoint", "state"])
        for (endpoint_id, state), count in metrics.runs.items():
            runs.add_metric([endpoint_id, state], count)
        yield runs
        units = GaugeMetricFamily("ingest_units", "Configured units", labels=["endpoint", "enabled"])
        for (endpoint_id, is_enabled), count in metrics.units.items():
            units.add_metric([endpoint_id, str(is_enabled).lower()], count)
        yield units
        last = GaugeMetricFamily(
            "ingest_last_success_timestamp_seconds", "When a run of the endpoint last succeeded", labels=["endpoint"]
        )
        for endpoint_id, seconds in metrics.last_success.items():
            last.add_metric([endpoint_id], seconds)
        yield last
        overdue = GaugeMetricFamily(
            "ingest_schedule_overdue_units", "Scheduled units whose slot has had no run", labels=["endpoint"]
        )
        for endpoint_id, count in metrics.overdue.items():
            overdue.add_metric([endpoint_id], count)
        yield overdue
        longest = GaugeMetricFamily(
            "ingest_schedule_overdue_seconds", "For how long the oldest of them waits", labels=["endpoint"]
        )
        for endpoint_id, seconds in metrics.overdue_s.items():
            longest.add_metric([endpoint_id], seconds)
        yield longest
        yield from unit_families(measured)
        yield from alert_families(alerts)
        yield scrape_seconds(began)
