"""Closes connections whose request does not arrive. Of the body, `middleware.BodyLimit` takes care.

uvicorn has a timeout for connections between requests only: https://www.uvicorn.org/settings/#timeouts
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol


def protocol_with_deadline(timeout_s: float) -> Any:
    """uvicorn's HTTP protocol; the line and the headers of each request must arrive within the time."""

    class ProtocolWithDeadline(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            super().connection_lost(exc)

        def _watch(self) -> None:
            is_waiting = self.cycle is None or self.cycle.response_complete
            if not is_waiting:
                self._forget()
            elif self._deadline is None:
                self._deadline = self.loop.call_later(timeout_s, self._close)

        def _forget(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _close(self) -> None:
            is_mine = self.transport.get_protocol() is self  # else it has become a WebSocket
            if is_mine and (self.cycle is None or self.cycle.response_complete):
                self.transport.close()

    return ProtocolWithDeadline
