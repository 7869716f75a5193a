"""The base of sessions over a driver: errors of `ingest_ray.sdk.errors` instead of the driver's, and a quiet close."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.statement_spans import DatabasePeer


class DriverSession:
    """`errors` are the driver's exceptions; `fault` makes of one of them an `IngestError` without secrets."""

    def __init__(
        self,
        connect: Callable[[], Any],
        errors: tuple[type[Exception], ...],
        fault: Callable[[Exception], IngestError],
        peer: DatabasePeer | None = None,
    ) -> None:
        self._peer = peer or DatabasePeer()
        self._errors = errors
        self._fault = fault
        with self._translate_errors():
            self._connection = connect()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise self._fault(error) from None

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        raise NotImplementedError

    def run(self, sql: str) -> None:
        self.rows(sql)

    def close(self) -> None:
        close_quietly(self._connection)


def close_quietly(resource: Any) -> None:
    """Closes a cursor or connection that may be broken, or that the server has already closed: the first error is reported."""
    with suppress(Exception):
        resource.close()
