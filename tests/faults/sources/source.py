"""What the campaign asks of a source."""

from collections import Counter
from pathlib import Path
from typing import Any, Protocol

from tests.faults.proxy import Proxy
from tests.faults.sources.writer import Writer

Rows = Counter[tuple[Any, ...]]


class Source(Protocol):
    """A server, what is ingested of it, and its truth. Runs reach it through `door` only; writer and truth do not."""

    server: str
    """As a strike on it is called."""
    endpoint: str
    unit: str
    """The one that is reset."""
    table: str
    """Where that one is in the lake."""
    door: Proxy
    writer: Writer
    lookback_s: int
    stretch_s: float
    """Per answer, so that a small load is at work for long enough to be struck."""
    has_mappers: bool
    has_throttle: bool

    def described(self) -> dict[str, Any]:
        """Template and config of the endpoint."""
        ...

    def rules(self) -> list[dict[str, Any]]:
        """The units, less endpoint, sink `lake` and look-back."""
        ...

    def kill(self) -> None: ...

    def start(self) -> None:
        """Starts what was killed, with all that it had. Nothing happens where it lives."""
        ...

    def rows(self) -> Rows: ...

    def landed(self, lake: Path) -> Rows:
        """The same rows as they are in the lake."""
        ...

    def close(self) -> None: ...
