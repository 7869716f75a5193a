"""A password file for libpq that exists in memory only: a connection string stays the same while passwords change.

https://www.postgresql.org/docs/current/libpq-pgpass.html: libpq reads the file when it connects, and refuses one that others may
read. https://man7.org/linux/man-pages/man2/memfd_create.2.html
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PasswordFile:
    """Holds one password at a time, while a connection is made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptor = os.memfd_create("password")
        os.fchmod(self._descriptor, 0o600)
        self.path = f"/proc/self/fd/{self._descriptor}"

    @contextmanager
    def holding(self, password: str) -> Iterator[None]:
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        with self._lock:
            self._write(f"*:*:*:*:{escaped}\n".encode())
            try:
                yield
            finally:
                self._write(b"")

    def _write(self, content: bytes) -> None:
        os.ftruncate(self._descriptor, 0)
        while content:
            written = os.pwrite(self._descriptor, content, os.fstat(self._descriptor).st_size)
            content = content[written:]


_files: dict[tuple[int, str], PasswordFile] = {}
_files_lock = threading.Lock()


def password_file(endpoint: str) -> PasswordFile:
    """The file for one address and user of this process. It stays open: as many as there are endpoints."""
    with _files_lock:
        key = os.getpid(), endpoint  # a fork would share the content
        if key not in _files:
            _files[key] = PasswordFile()
        return _files[key]
