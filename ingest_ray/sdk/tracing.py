"""Spans of work, and the context in which they go on in another thread, process or machine.

Off by default: without a tracer every span is one shared object, and nothing is imported. `ingest_ray.telemetry` installs the tracer.
Names of attributes are those of https://opentelemetry.io/docs/specs/semconv/ where it has one. An attribute never has a value of a row,
a key or a secret.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Literal, Protocol, Self

Attributes = Mapping[str, str | bool | int | float | None]
"""None: the attribute is left out."""
Kind = Literal["internal", "client", "server"]

RUN, ENDPOINT, UNIT, SINK = "ingest.run.id", "ingest.endpoint.id", "ingest.unit.id", "ingest.sink.id"


class Span:
    """A span that is not recorded. Within `with`, it is the parent of the spans that begin there."""

    def set(self, attributes: Attributes) -> None:
        """Adds attributes, or replaces them."""

    def fail(self, kind: str) -> None:
        """Marks the span as failed. `kind`: the code of the error, or the name of its class."""

    def end(self) -> None:
        """For spans of `begin`; a second end changes nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the span; an error makes it a failed one."""


class Tracer(Protocol):
    """Records spans. No method raises."""

    def span(self, name: str, attributes: Attributes, kind: Kind, parent: object | None, is_current: bool) -> Span: ...

    def carrier(self) -> dict[str, str]: ...

    def attached(self, carrier: Mapping[str, str]) -> AbstractContextManager[object]: ...

    def current(self) -> object | None: ...


NOT_RECORDED = Span()
_tracer: Tracer | None = None


def install(tracer: Tracer | None) -> None:
    """None: nothing is recorded from now on."""
    global _tracer
    _tracer = tracer


def is_on() -> bool:
    return _tracer is not None


def span(
    name: str, attributes: Attributes | None = None, kind: Kind = "internal", parent: object | None = None
) -> Span:
    """For `with`. `parent`: what `current` returned where the work was ordered; it counts only where no span goes on here."""
    return NOT_RECORDED if _tracer is None else _tracer.span(name, attributes or {}, kind, parent, True)


def begin(name: str, attributes: Attributes | None = None, kind: Kind = "internal") -> Span:
    """A span that is no parent of others and ends by `end`: for work inside of a generator."""
    return NOT_RECORDED if _tracer is None else _tracer.span(name, attributes or {}, kind, None, False)


def carrier() -> dict[str, str]:
    """The present context as headers of https://www.w3.org/TR/trace-context/; empty without a span."""
    return {} if _tracer is None else _tracer.carrier()


def attached(headers: Mapping[str, str]) -> AbstractContextManager[object]:
    """Inside, spans continue the trace of these headers. Empty headers change nothing."""
    return nullcontext() if _tracer is None or not headers else _tracer.attached(headers)


def current() -> object | None:
    """The present span as a parent for other threads, which do not inherit it."""
    return None if _tracer is None else _tracer.current()
