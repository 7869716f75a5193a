"""The bytes of attachments, in a folder of any file system that pyarrow knows: `<root>/<id>/v<version>`.

A file is fetched in parts, each of which is kept as soon as it is whole. Whoever begins again, here or on another node, fetches only
the parts that are missing; then they are joined and the parts removed. A finished file is never fetched again.
"""

from dataclasses import dataclass
from hashlib import sha256
from uuid import uuid4

import pyarrow as pa
from pyarrow import fs

from ingest_ray.http.client import Client
from ingest_ray.http.errors import BadRequest, BrokenAnswer, NotThere
from ingest_ray.sdk.errors import ConfigError, SourceUnavailable

PART_BYTES = 8 * 1024 * 1024
COPIED_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Stored:
    uri: str | None = None
    sha256: str | None = None
    fault: str | None = None

    def columns(self) -> dict[str, str | None]:
        return {"object_uri": self.uri, "sha256": self.sha256, "object_fault": self.fault}


@dataclass(frozen=True)
class Wanted:
    """`path` is where the site gives the bytes."""

    id: str
    version: int
    size: int
    media_type: str | None
    path: str


class Objects:
    def __init__(self, root: str, most_bytes: int, client: Client) -> None:
        self._root = root.rstrip("/")
        self._most_bytes = most_bytes
        self._client = client
        try:
            self._files, self._base = fs.FileSystem.from_uri(
                self._root if "://" in self._root else f"file://{self._root}"
            )
        except (pa.ArrowException, ValueError, OSError) as error:
            raise ConfigError(
                f"field 'objects_uri': {error}", hint="an absolute path, or a URI of pyarrow.fs"
            ) from None

    def store(self, wanted: Wanted) -> Stored:
        """Never raises for what one file has wrong: says it in `fault`. A site that does not answer at all raises."""
        if wanted.size > self._most_bytes:
            return Stored(fault=f"{wanted.size} bytes, more than attachment_max_bytes {self._most_bytes}")
        path = f"{self._base}/{wanted.id}/v{wanted.version}"
        try:
            digest = self._digest(path, wanted.size) or self._fetched(path, wanted)
        except (NotThere, BadRequest, BrokenAnswer) as error:
            return Stored(fault=error.message)
        except OSError as error:
            raise SourceUnavailable(f"attachment {wanted.id}: its bytes cannot be kept: {error}") from None
        if digest is None:
            return Stored(fault=f"the file that came has not the {wanted.size} bytes that its metadata say")
        return Stored(f"{self._root}/{wanted.id}/v{wanted.version}", digest)

    def _digest(self, path: str, size: int) -> str | None:
        """Of a finished file of the right size; None: it is not there."""
        if self._size(path) != size:
            return None
        found = sha256()
        with self._files.open_input_stream(path) as stream:
            while block := stream.read(COPIED_BYTES):
                found.update(block)
        return found.hexdigest()

    def _size(self, path: str) -> int:
        info = self._files.get_file_info(path)
        return int(info.size) if info.type is fs.FileType.File else -1

    def _fetched(self, path: str, wanted: Wanted) -> str | None:
        self._files.create_dir(path.rpartition("/")[0], recursive=True)
        parts = []
        for first in range(0, max(wanted.size, 1), PART_BYTES):
            last = min(first + PART_BYTES, wanted.size) - 1
            part = f"{path}.{first}.part"
            parts.append(part)
            if self._size(part) == last + 1 - first:
                continue
            got = self._client.part(wanted.path, first, max(first, last), wanted.media_type)
            if got.total != wanted.size or len(got.body) < last + 1 - first:
                return None
            self._write(part, [got.body[: last + 1 - first]])
        digest = self._joined(path, parts)
        for part in parts:
            if self._size(part) >= 0:
                self._files.delete_file(part)
        return digest

    def _joined(self, path: str, parts: list[str]) -> str:
        found = sha256()
        temporary = f"{path}.{uuid4().hex}.tmp"
        with self._files.open_output_stream(temporary) as out:
            for part in parts:
                with self._files.open_input_stream(part) as stream:
                    while block := stream.read(COPIED_BYTES):
                        found.update(block)
                        out.write(block)
        self._files.move(temporary, path)
        return found.hexdigest()

    def _write(self, path: str, blocks: list[bytes]) -> None:
        temporary = f"{path}.{uuid4().hex}.tmp"
        with self._files.open_output_stream(temporary) as out:
            for block in blocks:
                out.write(block)
        self._files.move(temporary, path)
