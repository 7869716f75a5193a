"""The metrics that are sent by OTLP: durations of requests and queries, runs that ended, and the series of `/metrics`.

https://opentelemetry.io/docs/specs/semconv/http/http-metrics/, https://opentelemetry.io/docs/specs/semconv/database/database-metrics/
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from ingest_ray.sdk import tracing
from ingest_ray.sdk.types import RunSummary
from ingest_ray.telemetry.series import Series

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)  # as the conventions say for HTTP
QUERY_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 600)
RUN_SECONDS = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800, 3600, 21600)
_OF_REQUESTS = ("http.request.method", "http.response.status_code", "server.address", "server.port", "error.type")
_OF_QUERIES = ("db.system.name", "db.operation.name", "db.namespace", "server.address", "server.port", "error.type")
_OF_SERVER = ("http.request.method", "http.response.status_code", "http.route", "url.scheme", "error.type")
_COUNTED: tuple[tuple[str, str, Callable[[RunSummary], int]], ...] = (
    ("ingest.rows.read", "{row}", lambda run: run.rows.read),
    ("ingest.rows.committed", "{row}", lambda run: run.rows.committed),
    ("ingest.rows.quarantined", "{row}", lambda run: run.rows.quarantined),
    ("ingest.slices.committed", "{slice}", lambda run: run.slices.committed),
    ("ingest.bytes.staged", "By", lambda run: run.bytes_staged),
    ("ingest.retries", "{retry}", lambda run: run.retries),
)


class Metrics:
    def __init__(self, meter: Meter) -> None:
        self._meter = meter

        def seconds(
            name: str, bounds: tuple[float, ...]
        ) -> Callable[[float, dict[str, str | bool | int | float]], None]:
            return meter.create_histogram(name, "s", explicit_bucket_boundaries_advisory=bounds).record

        self._requests = seconds("http.client.request.duration", SECONDS)
        self._served = seconds("http.server.request.duration", SECONDS)
        self._queries = seconds("db.client.operation.duration", QUERY_SECONDS)
        self._runs = seconds("ingest.run.duration", RUN_SECONDS)
        self._counters = [(meter.create_counter(name, unit), count) for name, unit, count in _COUNTED]

    def record_span(self, kind: tracing.Kind, attributes: Mapping[str, object], seconds: float) -> None:
        if kind == "server":
            self._served(seconds, _chosen(attributes, _OF_SERVER))
        elif "db.system.name" in attributes:
            self._queries(seconds, _chosen(attributes, _OF_QUERIES))
        elif "http.request.method" in attributes:
            self._requests(seconds, _chosen(attributes, _OF_REQUESTS))

    def record_run(self, summary: RunSummary) -> None:
        labels: dict[str, str | bool | int | float] = {
            tracing.ENDPOINT: summary.endpoint_id,
            tracing.UNIT: summary.unit_id,
            tracing.SINK: summary.sink_id,
        }
        code = {"error.type": summary.error.code} if summary.error is not None else {}
        self._runs(
            summary.seconds,
            {**labels, "ingest.run.state": summary.state.value, "ingest.run.task": summary.task, **code},
        )
        for counter, count in self._counters:
            counter.add(count(summary), labels)

    def offer(self, names: Iterable[tuple[str, str, bool]], read: Callable[[], Iterable[Series]]) -> None:
        found: dict[str, list[Observation]] = {}

        def look(name: str, is_first: bool, _: CallbackOptions) -> Iterator[Observation]:
            """The callbacks of one look are called one after the other; the first reads for all."""
            if is_first:
                found.clear()
                for series in read():
                    found.setdefault(series.name, []).append(Observation(series.value, dict(series.labels)))
            yield from found.get(name, ())

        for number, (name, text, is_counter) in enumerate(names):
            make = self._meter.create_observable_counter if is_counter else self._meter.create_observable_gauge
            make(name, [partial(look, name, number == 0)], description=text)


def _chosen(attributes: Mapping[str, object], names: tuple[str, ...]) -> dict[str, str | bool | int | float]:
    return {name: value for name in names if isinstance(value := attributes.get(name), str | bool | int | float)}
