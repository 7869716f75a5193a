"""A stand-in for a collector: takes OTLP over HTTP and decodes it with the official protobuf, which nobody here made.

https://github.com/open-telemetry/opentelemetry-proto
"""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.monitoring.serving import await_true


@dataclass(frozen=True)
class Seen:
    """A span. `parent_id`: empty for the first of a trace."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    is_failed: bool
    facts: dict[str, Any]
    events: tuple[str, ...]
    process: str


class Collector:
    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Seen] = []
        self.log_lines: list[tuple[str, str, dict[str, Any]]] = []
        """Text, trace and attributes of each."""
        self.points: dict[str, list[tuple[dict[str, Any], float]]] = {}
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []

    def take(self, path: str, body: bytes) -> None:
        self.bodies.append(body)
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                process = str(facts_of(resource.resource.attributes).get("service.instance.id"))
                self.spans += [seen(span, process) for scope in resource.scope_spans for span in scope.spans]
        elif path == "/v1/logs":
            for resource_logs in ExportLogsServiceRequest.FromString(body).resource_logs:
                for scope_logs in resource_logs.scope_logs:
                    for line in scope_logs.log_records:
                        text = line.body.string_value
                        self.log_lines.append((text, line.trace_id.hex(), facts_of(line.attributes)))
        elif path == "/v1/metrics":
            for resource_metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope_metrics in resource_metrics.scope_metrics:
                    for metric in scope_metrics.metrics:
                        self.points.setdefault(metric.name, []).extend(points_of(metric))
        else:
            raise AssertionError(path)

    def await_span(self, name: str) -> Seen:
        await_true(lambda: any(span.name == name for span in self.spans))
        return next(span for span in self.spans if span.name == name)

    def named(self, name: str) -> list[Seen]:
        return [span for span in self.spans if span.name == name]

    def names(self) -> set[str]:
        return {span.name for span in self.spans}

    def path_of(self, span: Seen) -> list[str]:
        """The names from the first span of the trace to this one. A parent that never came is `?`."""
        by_id = {found.span_id: found for found in self.spans}
        path = [span.name]
        while span.parent_id:
            if span.parent_id not in by_id:
                return ["?", *path]
            span = by_id[span.parent_id]
            path.insert(0, span.name)
        return path

    def everything(self) -> bytes:
        return b"\n".join(self.bodies)


def seen(span: Any, process: str) -> Seen:
    return Seen(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        kind=span.kind,
        is_failed=span.status.code == 2,
        facts=facts_of(span.attributes),
        events=tuple(event.name for event in span.events),
        process=process,
    )


def facts_of(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in attributes}


def points_of(metric: Any) -> Iterator[tuple[dict[str, Any], float]]:
    kind = str(metric.WhichOneof("data"))
    for point in getattr(metric, kind).data_points:
        value = point.sum if kind == "histogram" else getattr(point, str(point.WhichOneof("value")))
        yield facts_of(point.attributes), float(value)


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Requests(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            collector.take(self.path, body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Requests) as server:
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
