"""Stores the bytes of attachments in a folder of any file system that pyarrow knows: `<root>/<id>/v<version>`.

A file is fetched in parts, and each part is stored when it is complete. A later attempt, on any node, fetches only the missing parts;
then the parts are joined and removed. A finished file is never fetched again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pyarrow as pa
from pyarrow import fs

from ingest_ray.http.client import Client
from ingest_ray.http.errors import BadRequest, BrokenAnswer, NotThere
from ingest_ray.sdk.errors import ConfigError, SourceDenied, SourceUnavailable
from ingest_ray.sdk.path_names import path_part
from ingest_strategies.atlassian.site_client import SiteClient

PART_BYTES = 8 * 1024 * 1024
COPIED_BYTES = 1024 * 1024


@dataclass(frozen=True)
class StoredFile:
    uri: str | None = None
    sha256: str | None = None
    fault: str | None = None

    def columns(self) -> dict[str, str | None]:
        return {"object_uri": self.uri, "sha256": self.sha256, "object_fault": self.fault}


@dataclass(frozen=True)
class AttachmentFile:
    """`path` is the file's path at the site."""

    id: str
    version: int
    size: int
    media_type: str | None
    path: str


class AttachmentStore:
    """`check_login` raises where the account itself is refused."""

    def __init__(self, root: str, most_bytes: int, http: Client, check_login: Callable[[], object]) -> None:
        self._root = root.rstrip("/")
        self._most_bytes = most_bytes
        self._http = http
        self._check_login = check_login
        try:
            self._files, self._base = fs.FileSystem.from_uri(
                self._root if "://" in self._root else f"file://{self._root}"
            )
        except (pa.ArrowException, ValueError, OSError) as error:
            raise ConfigError(
                f"field 'objects_uri': {error}", hint="an absolute path, or a URI of pyarrow.fs"
            ) from None

    def store(self, file: AttachmentFile) -> StoredFile:
        """Reports an error of this one file in `fault`. Raises only where the site or the store fails as a whole."""
        if file.size > self._most_bytes:
            return StoredFile(fault=f"{file.size} bytes, more than attachment_max_bytes {self._most_bytes}")
        name = f"{path_part(file.id)}/v{file.version}"  # an id is text of the site, and must not lead elsewhere
        path = f"{self._base}/{name}"
        try:
            digest = self._stored_digest(path, file.size) or self._fetch(path, file)
        except (NotThere, BadRequest, BrokenAnswer) as error:
            return StoredFile(fault=error.message)
        except SourceDenied as error:
            self._check_login()  # the login is good: the refusal is about this one file
            return StoredFile(fault=error.message)
        except OSError as error:
            raise SourceUnavailable(f"attachment {file.id}: its bytes cannot be stored: {error}") from None
        if digest is None:
            return StoredFile(fault=f"the downloaded file has not the {file.size} bytes of its metadata")
        return StoredFile(f"{self._root}/{name}", digest)

    def _stored_digest(self, path: str, size: int) -> str | None:
        """Of a finished file of the right size; None: there is none."""
        if self._size(path) != size:
            return None
        digest = sha256()
        with self._files.open_input_stream(path) as stream:
            while block := stream.read(COPIED_BYTES):
                digest.update(block)
        return digest.hexdigest()

    def _size(self, path: str) -> int:
        """-1 where there is no such file."""
        entry = self._files.get_file_info(path)
        return int(entry.size) if entry.type is fs.FileType.File else -1

    def _fetch(self, path: str, file: AttachmentFile) -> str | None:
        """None where the site gives other bytes than its metadata says."""
        self._files.create_dir(path.rpartition("/")[0], recursive=True)
        parts = []
        for first in range(0, max(file.size, 1), PART_BYTES):
            last = min(first + PART_BYTES, file.size) - 1
            part = f"{path}.{first}.part"
            parts.append(part)
            if self._size(part) == last + 1 - first:
                continue
            answer = self._http.part(file.path, first, max(first, last), file.media_type)
            if answer.total != file.size or len(answer.body) < last + 1 - first:
                return None
            self._write(part, answer.body[: last + 1 - first])
        digest = self._join(path, parts)
        for part in parts:
            if self._size(part) >= 0:
                self._files.delete_file(part)
        return digest

    def _join(self, path: str, parts: list[str]) -> str:
        digest = sha256()
        temporary = f"{path}.{uuid4().hex}.tmp"
        with self._files.open_output_stream(temporary) as out:
            for part in parts:
                with self._files.open_input_stream(part) as stream:
                    while block := stream.read(COPIED_BYTES):
                        digest.update(block)
                        out.write(block)
        self._files.move(temporary, path)
        return digest.hexdigest()

    def _write(self, path: str, block: bytes) -> None:
        temporary = f"{path}.{uuid4().hex}.tmp"
        with self._files.open_output_stream(temporary) as out:
            out.write(block)
        self._files.move(temporary, path)


def open_attachment_store(client: SiteClient[Any]) -> AttachmentStore | None:
    """None where the endpoint does not read the bytes of attachments.

    Its configuration has `objects_uri` and `attachment_max_bytes`. Raises `ConfigError`.
    """
    config = client.config
    if config.objects_uri is None:
        return None
    if "://" not in config.objects_uri and not config.objects_uri.startswith("/"):
        raise ConfigError("field 'objects_uri': an absolute path, or a URI of pyarrow.fs")
    return AttachmentStore(config.objects_uri, config.attachment_max_bytes, client.http, client.read_account)
