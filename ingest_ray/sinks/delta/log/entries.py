"""Reads single commits of a Delta table's log: the library reads all since the last checkpoint for one number.

https://github.com/delta-io/delta/blob/master/PROTOCOL.md#delta-log-entries
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from deltalake import DeltaTable, PostCommitHookProperties

from ingest_ray.sinks.delta.files import TableFiles

NEWEST = 6  # commits that are looked at for a number before the library is asked
AFTER_COMMIT = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
"""Of each commit of a sink: the library's own housekeeping would list the whole log. `snapshot` writes checkpoints."""

Action = Mapping[str, Any]


def read_commit(files: TableFiles, version: int) -> list[Action] | None:
    """The actions of one commit; None where its file is cleaned up, or the table is gone."""
    if files.last_read is not None and files.last_read[0] == version:
        return files.last_read[1]
    try:
        text = files.read(f"_delta_log/{version:020}.json").decode()
    except FileNotFoundError:
        return None
    actions = [json.loads(line) for line in text.splitlines() if line.strip()]
    files.last_read = version, actions
    return actions


def commit_info(actions: Iterable[Action]) -> dict[str, Any]:
    return next((dict(action["commitInfo"]) for action in actions if "commitInfo" in action), {})


def application_versions(table: DeltaTable, files: TableFiles, app_ids: Iterable[str]) -> dict[str, int]:
    """The number that the snapshot has for each application; 0 for none."""
    missing, found = set(app_ids), dict[str, int]()
    version = int(table.version())
    for number in range(version, max(version - NEWEST, -1), -1):
        actions = read_commit(files, number)
        if actions is None:
            break
        for action in actions:
            name = action.get("txn", {}).get("appId")
            if name in missing:
                found[name] = int(action["txn"]["version"])
        missing -= found.keys()
        if not missing:
            return found
    return {**found, **{name: int(table.transaction_version(name) or 0) for name in missing}}
