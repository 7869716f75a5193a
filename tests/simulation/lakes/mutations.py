"""Deliberate bugs in the code of the sink of plain Parquet files: the histories of the lake must detect each of them."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ingest_ray.files.conditional import ConditionalFiles
from ingest_ray.sinks.parquet_tables import sink, upkeep, versions
from ingest_ray.sinks.parquet_tables.manifest import Manifest, version_of
from ingest_ray.sinks.parquet_tables.table_folder import TableFolder

Patch = Callable[[pytest.MonkeyPatch], None]


def manifests_are_written_over(patch: pytest.MonkeyPatch) -> None:
    def careless(self: Any, name: str, content: bytes) -> bool:
        return bool(self._put(name, content, "create") or self._put(name, content, self._read_tagged(name)[1]))

    patch.setattr(ConditionalFiles, "create_once", careless)


def numbers_are_not_compared(patch: pytest.MonkeyPatch) -> None:
    commit_once = versions.commit_once

    def again(folder: Any, target: Any, epoch: int, sequence: int | None, change: Any) -> int:
        before = versions.read_newest(folder)
        if sequence is None or before is None or before.commit_of(target.app_id).sequence < sequence:
            return commit_once(folder, target, epoch, sequence, change)
        after, rows = change(before)
        versions.make_version(folder, after)
        return int(rows)

    patch.setattr(sink, "commit_once", again)


def pointer_may_move_back(patch: pytest.MonkeyPatch) -> None:
    def move(folder: TableFolder, manifest: Manifest) -> None:
        folder.conditional.replace_older(versions.POINTER, versions.pointer_of(manifest), lambda _found: True)

    patch.setattr(versions, "move_pointer", move)


def pointer_is_taken_for_the_newest_version(patch: pytest.MonkeyPatch) -> None:
    """What a process made that died before it moved the pointer is not looked for."""
    read = versions.read_newest

    def trusting(folder: TableFolder) -> Manifest | None:
        try:
            return versions._read(folder, version_of(folder.conditional.read(versions.POINTER)))
        except FileNotFoundError:
            return read(folder)

    for module in (versions, sink, upkeep):
        patch.setattr(module, "read_newest", trusting)


def pointer_stays_at_the_first_version(patch: pytest.MonkeyPatch) -> None:
    def move(folder: TableFolder, manifest: Manifest) -> None:
        folder.conditional.create_once(versions.POINTER, versions.pointer_of(manifest))

    patch.setattr(versions, "move_pointer", move)


def compaction_ignores_newer_versions(patch: pytest.MonkeyPatch) -> None:
    make = upkeep.make_version

    def insistent(folder: TableFolder, manifest: Manifest) -> bool:
        while not make(folder, manifest):
            manifest = manifest.model_copy(update={"version": manifest.version + 1})
        return True

    patch.setattr(upkeep, "make_version", insistent)


LAKE_MUTATIONS: Sequence[Patch] = (
    manifests_are_written_over,
    numbers_are_not_compared,
    pointer_may_move_back,
    pointer_is_taken_for_the_newest_version,
    pointer_stays_at_the_first_version,
    compaction_ignores_newer_versions,
)
