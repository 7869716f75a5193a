"""The files of a backup: JSON lines, and a manifest that is written last. A folder without a manifest is no backup.

manifest.json           format, version, time, the units with their commits, a checksum of each file
kv.jsonl                a document of the state store a line: key, value
catalog/<table>.jsonl   a row of the catalog a line
home/quarantine/...     rejected rows, as they lie in the home
home/documents/...      manifests of runs
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import JsonValue, ValidationError

from ingest_ray.files.private import make_private_folder, private_opener
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Model

MANIFEST, KV, CATALOG, HOME = "manifest.json", "kv.jsonl", "catalog", "home"
HOME_FOLDERS = ("quarantine", "documents")  # not staging: a run reads again what was staged


class BackedUpUnit(Model):
    """`sequence`, `epoch`: the last commit of the unit in the backup, and the newest epoch."""

    endpoint_id: str
    unit_id: str
    sink_id: str
    sequence: int
    epoch: int


class BackupManifest(Model):
    format_number: Literal[1] = 1
    version: str
    taken_at: str
    catalog_schema: int
    catalog_rows: int
    documents: int
    units: tuple[BackedUpUnit, ...]
    checksums: dict[str, str]
    """SHA-256 by the name of the file."""


class BackupFolder:
    """A backup's folder. Only its owner may read it, because the catalog has sealed secrets and digests of tokens."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Raises `ConfigError` where the folder exists and is not empty."""
        try:
            make_private_folder(self.path)
            is_empty = not any(self.path.iterdir())
        except OSError as error:
            raise ConfigError(f"backup folder '{self.path}' cannot be made: {error.strerror}") from None
        if not is_empty:
            raise ConfigError(f"backup folder '{self.path}' is not empty", hint="each backup gets a folder of its own")

    def write_lines(self, name: str, lines: Iterable[Mapping[str, JsonValue]]) -> int:
        count = 0
        with self._create(name) as out:
            for line in lines:
                out.write(json.dumps(line, ensure_ascii=False).encode(errors="surrogatepass") + b"\n")
                count += 1
            out.flush()
            os.fsync(out.fileno())
        return count

    def read_lines(self, name: str) -> Iterator[dict[str, JsonValue]]:
        with (self.path / name).open("rb") as lines:
            for line in lines:
                yield json.loads(line.decode(errors="surrogatepass"))

    def copy_from(self, folder: Path, name: str) -> None:
        """Copies a folder's files. One that vanishes meanwhile was discarded, or has another name now, and is listed again under it."""
        for _ in range(2):
            for source in sorted(folder.rglob("*")):
                target = self.path / name / source.relative_to(folder)
                if source.is_file() and not target.exists():
                    try:
                        content = source.read_bytes()
                    except FileNotFoundError:
                        continue
                    with self._create(str(target.relative_to(self.path))) as out:
                        out.write(content)

    def checksums(self) -> dict[str, str]:
        files = [path for path in sorted(self.path.rglob("*")) if path.is_file() and path.name != MANIFEST]
        return {str(path.relative_to(self.path)): _sha256(path) for path in files}

    def finish(self, manifest: BackupManifest) -> None:
        scratch = self.path / f"{MANIFEST}.part"
        with open(scratch, "w", opener=private_opener) as out:
            out.write(manifest.model_dump_json(indent=1) + "\n")
            out.flush()
            os.fsync(out.fileno())
        os.replace(scratch, self.path / MANIFEST)

    def opened(self) -> BackupManifest:
        """Checks the backup completely.

        Raises:
            ConfigError: it is not complete, damaged, or of an unknown format.
        """
        try:
            document = json.loads((self.path / MANIFEST).read_text())
        except FileNotFoundError:
            raise ConfigError(
                f"'{self.path}' is no backup, or one that was not finished: it has no {MANIFEST}",
                hint="take another one with `ingest-ray backup`",
            ) from None
        except (OSError, ValueError) as error:
            raise ConfigError(f"'{self.path / MANIFEST}' cannot be read: {error}") from None
        if not isinstance(document, dict) or document.get("format_number") != 1:
            raise ConfigError(
                f"backup '{self.path}' has a format that this version does not know",
                hint="use the version that took it, or a newer one",
            )
        try:
            manifest = BackupManifest.model_validate(document)
        except ValidationError as error:
            raise ConfigError(f"'{self.path / MANIFEST}' is damaged: {error.errors()[0]['msg']}") from None
        found = self.checksums()
        damaged = sorted(
            name for name in {*found, *manifest.checksums} if found.get(name) != manifest.checksums.get(name)
        )
        if damaged:
            raise ConfigError(
                f"backup '{self.path}' is damaged: '{damaged[0]}' is missing or changed, {len(damaged)} file(s) in all",
                hint="use another backup",
            )
        return manifest

    def _create(self, name: str) -> BinaryIO:
        path = self.path / name
        make_private_folder(path.parent)
        return open(path, "xb", opener=private_opener)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
