"""A Unix socket in front of a PostgreSQL that is as far away and as slow as wanted: for each connection, so readers add up."""

import contextlib
import socket
import threading
import time
from pathlib import Path

CHUNK_BYTES = 65_536
MAX_DEBT_S = 0.25  # what a late thread may send at once


class ThrottledSocket:
    """`bytes_per_s`: of the answers on one connection. `latency_s`: before the first byte that answers a question."""

    def __init__(self, server: Path, folder: Path, bytes_per_s: float, latency_s: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._server = str(server / ".s.PGSQL.5432")
        self._bytes_per_s, self._latency_s = bytes_per_s, latency_s
        self.folder = folder
        self.questions = 0
        self.answers: list[tuple[float, int]] = []
        """When each chunk was passed on, and its bytes."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def forget(self) -> None:
        self.answers, self.questions = [], 0

    @property
    def answered_bytes(self) -> int:
        return sum(size for _, size in self.answers)

    def steady_bytes_per_s(self) -> float:
        """Between the tenth and the ninetieth percent of the bytes: without the start, and the end in which readers run dry."""
        total, passed = self.answered_bytes, 0
        began = ended = self.answers[0][0]
        for at, size in self.answers:
            passed += size
            began = at if passed <= total * 0.1 else began
            ended = at if passed <= total * 0.9 else ended
        return 0.8 * total / (ended - began)

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            asked = threading.Event()
            threading.Thread(target=self._pass_questions, args=(client, server, asked), daemon=True).start()
            threading.Thread(target=self._pass_answers, args=(server, client, asked), daemon=True).start()

    def _pass_questions(self, client: socket.socket, server: socket.socket, asked: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while piece := client.recv(CHUNK_BYTES):
                asked.set()
                server.sendall(piece)
        end(client, server)

    def _pass_answers(self, server: socket.socket, client: socket.socket, asked: threading.Event) -> None:
        free_at = time.monotonic()
        with contextlib.suppress(OSError):
            while piece := server.recv(CHUNK_BYTES):
                if asked.is_set():
                    asked.clear()
                    self.questions += 1
                    time.sleep(self._latency_s)
                self.answers.append((time.monotonic(), len(piece)))
                free_at = max(free_at, time.monotonic() - MAX_DEBT_S) + len(piece) / self._bytes_per_s
                client.sendall(piece)
                time.sleep(max(0.0, free_at - time.monotonic()))
        end(client, server)


def end(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
