"""Stores the record of a commit of several Delta tables beside the lake, as a small JSON file."""

import json
import os

from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.lake_models.pending_commit import PendingCommit


def write_pending(files: TableFiles, commit: PendingCommit) -> None:
    """Durable, and whole or not at all: locally by a rename, on an object store because a put is atomic."""
    name = _name(commit.epoch)
    written_name = f"{name}.part" if files.is_local else name
    with files.create(written_name) as out:
        out.write(commit.model_dump_json().encode())
    if files.is_local:
        files.make_durable([written_name])
        os.replace(os.path.join(files.uri, written_name), os.path.join(files.uri, name))
        files.make_durable([name])


def read_newest_pending(files: TableFiles) -> PendingCommit | None:
    """Of several records, the one of the newest epoch."""
    names = [name for name in files.list_names() if name.endswith(".json")]
    if not names:
        return None
    with files.open(names[-1]) as source:
        return PendingCommit.model_validate(json.loads(source.read()))


def delete_pending(files: TableFiles, epoch: int) -> None:
    files.delete(_name(epoch))


def delete_all_pending(files: TableFiles) -> None:
    for name in files.list_names():
        files.delete(name)


def _name(epoch: int) -> str:
    return f"{epoch:012}.json"
