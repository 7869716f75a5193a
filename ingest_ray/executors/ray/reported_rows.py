"""Rows of slices that are being read on the cluster: readers report them, and the driver sums them up.

one machine     reader --datagram(token, slice, attempt, rows)--> driver
a cluster       reader --note_rows(slice, attempt, rows)--> control actor <--noted_rows()-- driver

Nobody waits for an answer, and a lost report changes no more than what is shown.
"""

import json
import secrets
import socket
import time
from collections.abc import Container, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import ray

from ingest_ray.engine.open_slices import OpenSlice, sum_of_rows

REPORT_S = 0.5  # between two reports of one reader, and between two questions of the driver: a call costs about 1 ms
MAX_DATAGRAM_BYTES = 4096


class RowChannel(Protocol):
    """The reader's end; Ray sends it to readers."""

    def send(self, part: OpenSlice) -> None: ...


class RowInbox(Protocol):
    """The driver's end."""

    @property
    def channel(self) -> RowChannel: ...

    def take(self) -> Iterable[OpenSlice]:
        """What came since the last call. Never waits."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class DatagramChannel:
    port: int
    token: str

    def send(self, part: OpenSlice) -> None:
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(json.dumps({"token": self.token, **asdict(part)}).encode(), ("127.0.0.1", self.port))


class DatagramInbox:
    """A socket on the loopback interface. The token keeps out other users of the machine."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.channel = DatagramChannel(self._socket.getsockname()[1], secrets.token_hex(16))

    def take(self) -> Iterable[OpenSlice]:
        with suppress(BlockingIOError):
            while True:
                part = self._parsed(self._socket.recv(MAX_DATAGRAM_BYTES))
                if part is not None:
                    yield part

    def _parsed(self, datagram: bytes) -> OpenSlice | None:
        try:
            fields = json.loads(datagram)
            if not secrets.compare_digest(str(fields.pop("token")), self.channel.token):
                return None
            return OpenSlice(**fields)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def close(self) -> None:
        self._socket.close()


@dataclass(frozen=True)
class ActorChannel:
    control: Any

    def send(self, part: OpenSlice) -> None:
        with suppress(ray.exceptions.RayError):  # a lost control actor ends the attempt by itself
            self.control.note_rows.remote(part)


class ActorInbox:
    def __init__(self, control: Any) -> None:
        self.channel = ActorChannel(control)
        self._control = control
        self._answer: Any = None
        self._asked_at = time.monotonic()

    def take(self) -> Iterable[OpenSlice]:
        """Takes an answer that has come, and asks again in time."""
        found: list[OpenSlice] = []
        with suppress(ray.exceptions.RayError):
            if self._answer is not None:
                if ray.wait([self._answer], timeout=0)[0]:
                    answer, self._answer = self._answer, None
                    found = ray.get(answer)
            elif time.monotonic() - self._asked_at >= REPORT_S:
                self._asked_at = time.monotonic()
                self._answer = self._control.noted_rows.remote()
        return found

    def close(self) -> None:
        """The actor ends with its run."""


class RowReport:
    """Sends the rows of one attempt."""

    def __init__(self, channel: RowChannel, slice_id: str, attempt: int) -> None:
        self._channel = channel
        self._slice_id = slice_id
        self._attempt = attempt
        self._sent_at = time.monotonic()

    def note(self, rows_read: int, rows_staged: int) -> None:
        if time.monotonic() - self._sent_at < REPORT_S:
            return
        self._sent_at = time.monotonic()
        self._channel.send(OpenSlice(self._slice_id, self._attempt, rows_read, rows_staged))


class ReportedRows:
    """The last reports of the readers, in the driver."""

    def __init__(self, inbox: RowInbox) -> None:
        self._inbox = inbox
        self._slices: dict[tuple[str, int], OpenSlice] = {}

    def refresh(self) -> None:
        self._slices |= {(part.slice_id, part.attempt): part for part in self._inbox.take()}

    def rows(self, reading: Container[tuple[str, int]]) -> tuple[int, int]:
        """Rows read, and rows staged, of the attempts that are under way; forgets the others."""
        self._slices = {attempt: part for attempt, part in self._slices.items() if attempt in reading}
        return sum_of_rows(self._slices.values())
