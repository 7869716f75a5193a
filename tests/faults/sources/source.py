"""The contract of a source of the campaign."""

from collections import Counter
from typing import Any, Protocol

from tests.faults.lakes import Lake
from tests.faults.proxy import Proxy
from tests.faults.sources.writer import Writer

Rows = Counter[tuple[Any, ...]]


class Source(Protocol):
    """A server, its ingested units, and its expected rows. Runs connect through `proxy` only; the writer and `rows` do not."""

    server: str
    """The server's name in the titles of faults."""
    endpoint: str
    unit: str
    """The unit that is reset."""
    table: str
    """The path of the unit's table in the lake."""
    proxy: Proxy
    writer: Writer
    lookback_s: int
    answer_delay_s: float
    """Added to every answer, so that a small load is at work long enough to be hit."""
    has_mappers: bool
    has_throttle: bool

    def endpoint_config(self) -> dict[str, Any]:
        """Template and config of the endpoint."""
        ...

    def rules(self, write: str) -> list[dict[str, Any]]:
        """The units, written as `orders_table.WRITES` has it where the source has orders; less endpoint, sink `lake` and look-back."""
        ...

    def kill(self) -> None: ...

    def start(self) -> None:
        """Restarts a killed server with all of its rows. Does nothing where it is alive."""
        ...

    def rows(self) -> Rows: ...

    def lake_rows(self, lake: Lake, write: str) -> Rows:
        """The same rows as they are in the lake."""
        ...

    def close(self) -> None: ...
