"""A door between a run and a server, which a test can slow down, hold or slam: TCP or Unix socket on both sides."""

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

Address = tuple[str, int] | str


def connected(address: Address) -> socket.socket:
    there = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    try:
        there.connect(address)
    except OSError:
        there.close()
        raise
    return there


@dataclass
class Proxy:
    """`address` is where to connect to; `delay_s` is added to each piece of an answer; `answers` counts the pieces."""

    server: Address
    address: Address
    delay_s: float = 0.0
    answers: int = 0
    is_shut: bool = False
    """Who connects is turned away, as if there were no server."""
    _is_closed: bool = False
    _pairs: set[tuple[socket.socket, socket.socket]] = field(default_factory=set)
    _flows: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        assert not isinstance(self.address, str)
        return self.address[1]

    def start(self) -> "Proxy":
        if isinstance(self.address, str):
            self._door = socket.socket(socket.AF_UNIX)
            self._door.bind(self.address)
            Path(self.address).chmod(0o777)
        else:
            self._door = socket.socket(socket.AF_INET)
            self._door.bind(self.address)
            self.address = self._door.getsockname()
        self._flows.set()
        self._door.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def await_answers(self, count: int, run: "subprocess.Popen[str]", at_most_s: float) -> None:
        """So many from now on; fewer where the run ends before, or the time."""
        enough, until = self.answers + count, time.monotonic() + at_most_s
        while self.answers < enough and run.poll() is None and time.monotonic() < until:
            time.sleep(0.002)

    def cut(self) -> None:
        """Every connection ends at once, in the middle of whatever it carries."""
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
        self._door.close()
        self.cut()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            if self.is_shut:
                client.close()
                continue
            try:
                server = connected(self.server)
            except OSError:
                client.close()
                continue
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
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
