"""The versions of a table, and how the next one is made: exactly one writer makes version n + 1, and only from version n.

Epoch and number of a unit stand in the manifest that a commit is made from. A writer that is not the first to make a version reads
the newer ones and compares again, so a stale writer never gets through.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ingest_ray.files.folder import hint_for
from ingest_ray.files.store_errors import is_final
from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.errors import CommitUnknown, Fenced, IngestError, SinkRejected, SinkUnavailable
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.parquet_tables.manifest import (
    MANIFESTS,
    POINTER,
    Manifest,
    UnitCommit,
    manifest_name,
    next_manifest,
    pointer_of,
    version_of,
)
from ingest_ray.sinks.parquet_tables.table_folder import TableFolder

TRIES = 20  # each that fails means that another process made a version


@contextmanager
def translate_errors(uri: str) -> Iterator[None]:
    """Passes this project's errors on unchanged; translates all others, with the table at `uri` in the message."""
    try:
        yield
    except IngestError:
        raise
    except OSError as error:
        raise (SinkRejected if is_final(error) else SinkUnavailable)(
            f"table '{uri}' cannot be reached: {error}", hint=hint_for(error)
        ) from error
    except Exception as error:
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SinkRejected(f"table '{uri}' refused the write: {text}") from error


def read_newest(folder: TableFolder) -> Manifest | None:
    """The pointer may be behind where a process died: then the versions after it are looked for."""
    try:
        version = version_of(folder.conditional.read(POINTER))
    except FileNotFoundError:
        known = [
            int(name.rpartition("/")[2].partition(".")[0])
            for name in folder.list_times(MANIFESTS)
            if _is_manifest(name)
        ]
        if not known:
            return None
        version = max(known)
    newest = _read(folder, version)
    while (found := _read_or_none(folder, newest.version + 1)) is not None:
        newest = found
    return newest


def make_version(folder: TableFolder, manifest: Manifest) -> bool:
    """False where another process made a version of that number. The pointer moves after it, and never back."""
    reached("parquet:before-manifest")
    if not folder.conditional.create_once(manifest_name(manifest.version), manifest.model_dump_json().encode()):
        return False
    reached("parquet:before-pointer")
    move_pointer(folder, manifest)
    return True


def move_pointer(folder: TableFolder, manifest: Manifest) -> None:
    def is_older(found: bytes) -> bool:
        return version_of(found) < manifest.version

    folder.conditional.replace_older(POINTER, pointer_of(manifest), is_older)


def take_over(folder: TableFolder, target: Target, epoch: int, manifest: Manifest) -> Manifest:
    """Makes `epoch` the owner of the unit's rows. Raises `Fenced` for one that is older than the table's."""
    for _ in range(TRIES):
        known = manifest.commit_of(target.app_id)
        refuse_older_epoch(folder, target, epoch, known)
        if known.epoch == epoch:
            move_pointer(folder, manifest)
            return manifest
        after = next_manifest(manifest, app_id=target.app_id, commit=known.model_copy(update={"epoch": epoch}))
        if make_version(folder, after):
            return after
        manifest = _reload(folder)
    raise SinkUnavailable(f"table '{folder.uri}' was changed by other commits all the time")


def commit_once(
    folder: TableFolder,
    target: Target,
    epoch: int,
    sequence: int | None,
    change: Callable[[Manifest], tuple[Manifest, int]],
) -> int:
    """Makes the next version, once for each number; returns the rows that its commit counted.

    `change` returns the manifest after `next_manifest`, and the rows it counts; it is called again where another process was first.
    `sequence` None: of a change without a number, such as another layout.
    """
    with folder.lock:
        for _ in range(TRIES):
            before = _reload(folder)
            known = before.commit_of(target.app_id)
            refuse_older_epoch(folder, target, epoch, known)
            if sequence is not None and known.sequence >= sequence:
                move_pointer(folder, before)
                return known.rows_committed if known.sequence == sequence else 0
            after, rows = change(before)
            commit = (
                UnitCommit(epoch=epoch, sequence=sequence, rows_committed=rows)
                if sequence is not None
                else (known.model_copy(update={"epoch": epoch}))
            )
            after = after.model_copy(update={"ledger": {**after.ledger, target.app_id: commit}})
            if _make(folder, target, after, sequence):
                return rows
    raise SinkUnavailable(f"table '{folder.uri}' was changed by other commits all the time")


def _make(folder: TableFolder, target: Target, after: Manifest, sequence: int | None) -> bool:
    reached("sink:in-commit")
    try:
        return make_version(folder, after)
    except OSError as error:
        unknown = f"whether commit {sequence} of '{folder.uri}' happened is not known"
        try:
            found = read_newest(folder)
        except OSError as unreachable:
            raise CommitUnknown(f"{unknown}: {unreachable}") from error
        if found is not None and sequence is not None and found.commit_of(target.app_id).sequence >= sequence:
            move_pointer(folder, found)
            return True
        raise


def refuse_older_epoch(folder: TableFolder, target: Target, epoch: int, known: UnitCommit) -> None:
    if known.epoch > epoch:
        raise Fenced(
            f"unit '{target.unit_id}' belongs to epoch {known.epoch} in '{folder.uri}', and this is epoch {epoch}",
            newer_epoch=known.epoch,
        )


def _reload(folder: TableFolder) -> Manifest:
    found = read_newest(folder)
    if found is None:
        raise SinkRejected(f"table '{folder.uri}' is gone", hint="reset the unit to load it again")
    return found


def _read(folder: TableFolder, version: int) -> Manifest:
    return Manifest.model_validate_json(folder.conditional.read(manifest_name(version)))


def _read_or_none(folder: TableFolder, version: int) -> Manifest | None:
    try:
        return _read(folder, version)
    except FileNotFoundError:
        return None


def _is_manifest(name: str) -> bool:
    return name.rpartition("/")[2][:12].isdigit() and name.endswith(".json")
