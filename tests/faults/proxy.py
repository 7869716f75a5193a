"""A proxy between a run and a server, which a test can slow down, hold or cut: TCP or Unix socket on both sides."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.forks import ForkedProcess

Address = tuple[str, int] | str


def connect_to(address: Address) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


@dataclass
class Proxy:
    """`address` is where clients connect; `delay_s` is added to each chunk of an answer; `answers` counts the chunks."""

    server: Address
    address: Address
    delay_s: float = 0.0
    answers: int = 0
    is_refusing: bool = False
    """New connections are closed at once, as if there were no server."""
    _is_closed: bool = False
    _pairs: set[tuple[socket.socket, socket.socket]] = field(default_factory=set)
    _flows: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        assert not isinstance(self.address, str)
        return self.address[1]

    def start(self) -> "Proxy":
        if isinstance(self.address, str):
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(self.address)
            Path(self.address).chmod(0o777)
        else:
            self._listener = socket.socket(socket.AF_INET)
            self._listener.bind(self.address)
            self.address = self._listener.getsockname()
        self._flows.set()
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def await_answers(self, count: int, run: ForkedProcess, at_most_s: float) -> None:
        """Waits for `count` answers from now on, or until the run or the time ends."""
        enough, until = self.answers + count, time.monotonic() + at_most_s
        while self.answers < enough and run.poll() is None and time.monotonic() < until:
            time.sleep(0.002)

    def cut(self) -> None:
        """Ends every connection at once, also in mid-transfer."""
        for pair in list(self._pairs):
            _end(pair)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Answers wait until the end of the block."""
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    def close(self) -> None:
        self._is_closed = True
        self._flows.set()
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.is_refusing:
                client.close()
                continue
            try:
                server = connect_to(self.server)
            except OSError:
                client.close()
                continue
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        pair = (client, server)
        self._pairs.add(pair)
        questions = threading.Thread(target=self._pump, args=(client, server, False), daemon=True)
        questions.start()
        self._pump(server, client, True)
        questions.join()
        self._pairs.discard(pair)
        client.close()
        server.close()

    def _pump(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                if is_answer:
                    self.answers += 1
                    time.sleep(self.delay_s)
                    self._flows.wait()
                target.sendall(piece)
        _end((source, target))


def _end(pair: tuple[socket.socket, socket.socket]) -> None:
    for end in pair:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
