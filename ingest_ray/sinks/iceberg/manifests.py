"""The manifests of an Iceberg table: each is decoded once in a process, because a manifest never changes.

https://iceberg.apache.org/spec/#manifests
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, ManifestContent, ManifestEntry, ManifestFile
from pyiceberg.table import FileScanTask, Table
from pyiceberg.utils.concurrent import ExecutorFactory

REMEMBERED_VALUES = 2_000_000  # counts and bounds of about 60 bytes each: 20,000 files of 20 columns

Entries = Sequence[ManifestEntry]


class ManifestCache:
    """Decoded manifests by their paths, the least recently used ones forgotten first; may be used by several threads."""

    def __init__(self, values: int = REMEMBERED_VALUES) -> None:
        self._values = values
        self._held = 0
        self._found: OrderedDict[str, tuple[Entries, int]] = OrderedDict()
        self._lock = threading.Lock()

    def live_entries(self, io: FileIO, manifest: ManifestFile) -> Entries:
        """The files that a manifest adds or keeps."""
        path = manifest.manifest_path
        with self._lock:
            known = self._found.get(path)
            if known is not None:
                self._found.move_to_end(path)
                return known[0]
        entries = tuple(manifest.fetch_manifest_entry(io, discard_deleted=True))
        weight = sum(map(_values_of, entries))
        with self._lock:
            if path not in self._found:
                self._found[path] = (entries, weight)
                self._held += weight
            while self._held > self._values and len(self._found) > 1:
                self._held -= self._found.popitem(last=False)[1][1]
        return entries

    def forget_all(self) -> None:
        with self._lock:
            self._found.clear()
            self._held = 0


_CACHE = ManifestCache()


def live_entries(io: FileIO, manifest: ManifestFile) -> Entries:
    return _CACHE.live_entries(io, manifest)


def forget_all() -> None:
    """Measurements and tests begin as a new process does."""
    _CACHE.forget_all()


def live_manifests(table: Table) -> list[ManifestFile]:
    """The manifests of the newest snapshot that name data or deletes; others only say what an earlier snapshot removed."""
    snapshot = table.current_snapshot()
    found = snapshot.manifests(table.io) if snapshot is not None else []
    return [manifest for manifest in found if manifest.has_added_files() or manifest.has_existing_files()]


def list_files(table: Table, may_have: Callable[[DataFile], bool] | None = None) -> list[FileScanTask]:
    """Every data file that `may_have` accepts, or every one, with the deletes of other programs that apply to it."""
    manifests = live_manifests(table)
    if any(manifest.content == ManifestContent.DELETES for manifest in manifests):
        tasks = list(table.scan().plan_files())
        return [task for task in tasks if may_have is None or may_have(task.file)]
    decoded = ExecutorFactory.get_or_create().map(lambda manifest: live_entries(table.io, manifest), manifests)
    return [
        FileScanTask(entry.data_file, residual=AlwaysTrue())
        for entries in decoded
        for entry in entries
        if may_have is None or may_have(entry.data_file)
    ]


def has_no_rows(table: Table) -> bool:
    """Tombstones are rows. Reads the list of manifests only, where other programs left no deletes."""
    manifests = live_manifests(table)
    if any(manifest.content == ManifestContent.DELETES for manifest in manifests):
        return bool(table.scan().count() == 0)
    return not any(manifest.added_rows_count or manifest.existing_rows_count for manifest in manifests)


def _values_of(entry: ManifestEntry) -> int:
    file = entry.data_file
    described = (file.column_sizes, file.value_counts, file.null_value_counts, file.lower_bounds, file.upper_bounds)
    return 8 + sum(len(values) for values in described if values)
