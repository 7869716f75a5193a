"""A door between a run and a server, which a test can slow down or slam: TCP or Unix socket on both sides."""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

Address = tuple[str, int] | str


def connected(address: Address) -> socket.socket:
    there = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    there.connect(address)
    return there


@dataclass
class Proxy:
    """`address` is where to connect to; `delay_s` is added to each piece of an answer."""

    server: Address
    address: Address
    delay_s: float = 0.0
    is_open: bool = True
    _pairs: list[socket.socket] = field(default_factory=list)

    def start(self) -> "Proxy":
        if isinstance(self.address, str):
            self._door = socket.socket(socket.AF_UNIX)
            self._door.bind(self.address)
            Path(self.address).chmod(0o777)
        else:
            self._door = socket.socket(socket.AF_INET)
            self._door.bind(self.address)
            self.address = self._door.getsockname()
        self._door.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def cut(self) -> None:
        """Every connection ends at once, in the middle of whatever it carries."""
        for end in self._pairs:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def close(self) -> None:
        self.is_open = False
        self._door.close()
        self.cut()

    def _accept(self) -> None:
        while self.is_open:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            try:
                server = connected(self.server)
            except OSError:
                client.close()
                continue
            self._pairs += [client, server]
            for source, target, is_answer in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(source, target, is_answer), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                if is_answer and self.delay_s:
                    time.sleep(self.delay_s)
                target.sendall(piece)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
