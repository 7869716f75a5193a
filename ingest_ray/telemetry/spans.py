"""Records spans with OpenTelemetry, and continues traces by the headers of https://www.w3.org/TR/trace-context/."""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import IngestError
from ingest_ray.telemetry.metrics import Metrics

_KINDS = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT, "server": SpanKind.SERVER}
_PROPAGATOR = TraceContextTextMapPropagator()


class OtelTracer:
    """`tracer` is also given to other libraries, so that their spans take the same way."""

    def __init__(self, tracer: trace.Tracer, metrics: Metrics) -> None:
        self.tracer = tracer
        self._metrics = metrics

    def span(
        self, name: str, attributes: tracing.Attributes, kind: tracing.Kind, parent: object | None, is_current: bool
    ) -> tracing.Span:
        if kind == "client" and parent is None and self.current() is None:
            return tracing.NOT_RECORDED  # a request outside of any work, such as that of a watch, is no trace
        begun = self.tracer.start_span(
            name, _context_of(parent), _KINDS[kind], _given(attributes), record_exception=False
        )
        return OtelSpan(begun, dict(attributes), kind, self._metrics, is_current)

    def carrier(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        _PROPAGATOR.inject(headers)
        return headers

    def attached(self, carrier: Mapping[str, str]) -> AbstractContextManager[object]:
        return _Attached(_PROPAGATOR.extract(dict(carrier)))

    def current(self) -> object | None:
        span = trace.get_current_span()
        return span if span.get_span_context().is_valid else None


class OtelSpan(tracing.Span):
    """Its duration is measured for the histograms of requests and queries, too."""

    def __init__(
        self, span: trace.Span, attributes: dict[str, object], kind: tracing.Kind, metrics: Metrics, is_current: bool
    ) -> None:
        self._span = span
        self._attributes = attributes
        self._kind = kind
        self._metrics = metrics
        self._began = time.monotonic()
        self._is_ended = False
        self._attached = _Attached(trace.set_span_in_context(span)) if is_current else None

    def set(self, attributes: tracing.Attributes) -> None:
        self._attributes.update(attributes)
        self._span.set_attributes(_given(attributes))

    def fail(self, kind: str) -> None:
        self.set({"error.type": kind})
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        if not self._is_ended:
            self._is_ended = True
            self._span.end()
            self._metrics.record_span(self._kind, self._attributes, time.monotonic() - self._began)

    def __enter__(self) -> "OtelSpan":
        if self._attached is not None:
            self._attached.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, GeneratorExit):
            self.fail(error.code if isinstance(error, IngestError) else type(error).__name__)
        if self._attached is not None:
            self._attached.__exit__(kind, error, trace)
        self.end()


class _Attached:
    """A context that is the present one inside."""

    def __init__(self, context: contexts.Context) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token = contexts.attach(self._context)

    def __exit__(self, *_: object) -> None:
        contexts.detach(self._token)


def _context_of(parent: object | None) -> contexts.Context | None:
    """None: the present one."""
    if not isinstance(parent, trace.Span) or trace.get_current_span().get_span_context().is_valid:
        return None
    return trace.set_span_in_context(parent)


def _given(attributes: tracing.Attributes) -> dict[str, str | bool | int | float]:
    return {name: value for name, value in attributes.items() if value is not None}
