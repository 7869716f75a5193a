"""Files that are made once, and files that are replaced only by newer ones, whoever else writes at the same time.

On a local disk by a link, which fails where the name exists, and by a rename under a lock; in an object store by conditional requests
(`If-None-Match`, `If-Match`): https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import fcntl
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ingest_ray.files.store_client import is_store, open_store
from ingest_ray.files.store_errors import as_os_errors
from ingest_ray.sdk.location import Location

REPLACE_TRIES = 50  # each that fails means that another process replaced the file


class ConditionalFiles:
    """Small files by names relative to a place. Raises `OSError`."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._root = Path(location.base)
        self._store: Any = open_store(location) if is_store(location.uri) else None

    def read(self, name: str) -> bytes:
        """Raises `FileNotFoundError`."""
        if self._store is None:
            return (self._root / name).read_bytes()
        return self._read_tagged(name)[0]

    def create_once(self, name: str, content: bytes) -> bool:
        """Whole and durable. False where the name exists with another content.

        `content` has something that no other writer has: a request that is repeated because its answer was lost finds its own file.
        """
        if self._store is not None:
            return self._put(name, content, "create")
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = self._write_part(path, content)
        try:
            os.link(part, path)
        except FileExistsError:
            return path.read_bytes() == content
        finally:
            part.unlink()
        _sync_folder(path.parent)
        return True

    def replace_older(self, name: str, content: bytes, is_older: Callable[[bytes], bool]) -> None:
        """Replaces the file atomically, unless what is there is not older."""
        if self._store is None:
            self._replace_local(name, content, is_older)
            return
        for _ in range(REPLACE_TRIES):
            try:
                found, mode = self._read_tagged(name)
            except FileNotFoundError:
                found, mode = b"", "create"
            if mode != "create" and not is_older(found):
                return
            if self._put(name, content, mode):
                return
        raise OSError(f"'{self._location.uri_of(name)}' is replaced by others all the time")

    def _replace_local(self, name: str, content: bytes, is_older: Callable[[bytes], bool]) -> None:
        path = self._root / name
        with open(self._root / f".{name}.lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if not is_older(path.read_bytes()):
                    return
            os.replace(self._write_part(path, content), path)
            _sync_folder(path.parent)

    def _write_part(self, path: Path, content: bytes) -> Path:
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        with open(part, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        return part

    def _read_tagged(self, name: str) -> tuple[bytes, Any]:
        import obstore

        with as_os_errors(self._location.uri_of(name)):
            found = obstore.get(self._store, name)
            tag: Any = {name: found.meta[name] for name in ("e_tag", "version") if found.meta[name] is not None}
            return bytes(found.bytes()), tag

    def _put(self, name: str, content: bytes, mode: Any) -> bool:
        """False where the condition is not met, and what is there is not this very content."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with as_os_errors(self._location.uri_of(name)):
            try:
                obstore.put(self._store, name, content, mode=mode, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return bytes(obstore.get(self._store, name).bytes()) == content
        return True


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
