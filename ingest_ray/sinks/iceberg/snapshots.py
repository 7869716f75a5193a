"""Snapshots whose manifests stay few and short, so that a commit writes only the manifests of the files that it touches.

pyiceberg's own commits decode every manifest of the table several times and write one that has all files again. Here a manifest has at
most `MANIFEST_FILES` files; one is written again only where files of it are removed; small ones are merged once there are
`SMALL_MANIFESTS` of them.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from pyiceberg.avro.file import AvroOutputFile
from pyiceberg.exceptions import ValidationException
from pyiceberg.manifest import (
    DataFile,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriter,
    ManifestWriterV2,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import Table, Transaction
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _SnapshotProducer
from pyiceberg.utils.concurrent import ExecutorFactory

from ingest_ray.sinks.iceberg.manifests import live_entries, live_manifests

MANIFEST_FILES = 256  # about 15 ms to write
SMALL_MANIFESTS = 16  # each has less than half of that


def stage_snapshot(
    transaction: Transaction,
    table: Table,
    summary: dict[str, str],
    branch: str,
    added: Sequence[DataFile],
    removed: Sequence[DataFile],
) -> None:
    """Writes the manifests and adds the snapshot to the transaction, which does not commit by itself."""
    operation = Operation.OVERWRITE if removed else Operation.APPEND
    producer = _FilesSnapshot(operation, transaction, table.io, snapshot_properties=summary, branch=branch)
    producer.table = table
    for file in removed:
        producer.delete_data_file(file)
    for file in added:
        file.spec_id = transaction.table_metadata.default_spec_id
        producer.append_data_file(file)
    producer.commit()


class _FilesSnapshot(_SnapshotProducer["_FilesSnapshot"]):
    table: Table

    def _manifests(self) -> list[ManifestFile]:
        kept, pool, removed = self._existing()
        pool += [self._entry(ManifestEntryStatus.ADDED, file) for file in self._added_data_files]
        groups = [*_by_spec(pool, MANIFEST_FILES), *_by_spec(removed, MANIFEST_FILES)]
        return [*ExecutorFactory.get_or_create().map(self._written, groups), *kept]

    def _existing(self) -> tuple[list[ManifestFile], list[ManifestEntry], list[ManifestEntry]]:
        """The manifests that stay; the entries of those that are written again; the entries of the removed files."""
        missing = {file.file_path for file in self._deleted_data_files}
        kept: list[ManifestFile] = []
        pool: list[ManifestEntry] = []
        removed: list[ManifestEntry] = []
        for manifest in live_manifests(self.table):
            entries = live_entries(self._io, manifest) if missing and manifest.content == ManifestContent.DATA else ()
            gone = [entry for entry in entries if entry.data_file.file_path in missing]
            if not gone:
                kept.append(manifest)
                continue
            removed += [self._entry(ManifestEntryStatus.DELETED, entry.data_file, entry) for entry in gone]
            pool += self._kept_entries(entry for entry in entries if entry.data_file.file_path not in missing)
            missing -= {entry.data_file.file_path for entry in gone}
        if missing:
            raise ValidationException(f"the table has no file {min(missing)}")
        small = [manifest for manifest in kept if _is_small(manifest)]
        if len(small) >= SMALL_MANIFESTS:
            kept = [manifest for manifest in kept if not _is_small(manifest)]
            pool += self._kept_entries(entry for manifest in small for entry in live_entries(self._io, manifest))
        return kept, pool, removed

    def _kept_entries(self, entries: Iterable[ManifestEntry]) -> list[ManifestEntry]:
        return [self._entry(ManifestEntryStatus.EXISTING, entry.data_file, entry) for entry in entries]

    def _entry(self, status: ManifestEntryStatus, file: DataFile, before: ManifestEntry | None = None) -> ManifestEntry:
        is_kept = before is not None and status == ManifestEntryStatus.EXISTING
        return ManifestEntry.from_args(
            status=status,
            snapshot_id=before.snapshot_id if before is not None and is_kept else self._snapshot_id,
            sequence_number=before.sequence_number if before is not None else None,
            file_sequence_number=before.file_sequence_number if before is not None else None,
            data_file=file,
        )

    def _written(self, entries: Sequence[ManifestEntry]) -> ManifestFile:
        with self.new_manifest_writer(self.spec(entries[0].data_file.spec_id)) as writer:
            for entry in entries:
                writer.add_entry(entry)
        return writer.to_manifest_file()

    def new_manifest_writer(self, spec: PartitionSpec) -> ManifestWriter:
        return _ManifestWriter(spec, self.schema(), self.new_manifest_output(), self._snapshot_id, self._compression)

    def _existing_manifests(self) -> list[ManifestFile]:
        raise NotImplementedError  # of the library's own way

    def _deleted_entries(self) -> list[ManifestEntry]:
        raise NotImplementedError


class _ManifestWriter(ManifestWriterV2):
    """Writes one Avro block, not one for each file: a third of the bytes."""

    def new_writer(self) -> Any:
        return _OneBlock(super().new_writer())


class _OneBlock:
    def __init__(self, file: AvroOutputFile[ManifestEntry]) -> None:
        self._file = file
        self._entries: list[ManifestEntry] = []

    @property
    def output_file(self) -> Any:
        return self._file.output_file

    def __enter__(self) -> "_OneBlock":
        self._file.__enter__()
        return self

    def write_block(self, entries: list[ManifestEntry]) -> None:
        self._entries += entries

    def __exit__(self, *exception: Any) -> None:
        if self._entries:
            self._file.write_block(self._entries)
        self._file.__exit__(*exception)


def _is_small(manifest: ManifestFile) -> bool:
    files = (manifest.added_files_count, manifest.existing_files_count)
    is_data = manifest.content == ManifestContent.DATA
    return is_data and sum(MANIFEST_FILES if count is None else count for count in files) < MANIFEST_FILES // 2


def _by_spec(entries: Sequence[ManifestEntry], most: int) -> list[list[ManifestEntry]]:
    """In manifests of at most `most` files of one partition spec."""
    found: dict[int, list[ManifestEntry]] = defaultdict(list)
    for entry in entries:
        found[entry.data_file.spec_id].append(entry)
    return [one[first : first + most] for one in found.values() for first in range(0, len(one), most)]
