"""Finds out whether a table was restored to an earlier version with Delta's own `RESTORE`.

It puts the files of the earlier version back and leaves the transaction numbers as they are
(https://docs.delta.io/latest/delta-utility.html#restore-a-delta-table-to-an-earlier-state), so the numbers alone do not show that rows
of later commits are gone.
"""

from collections.abc import Mapping
from typing import Any

from deltalake import DeltaTable

from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.log.entries import read_commit

SEARCHED_COMMITS = 100  # of others above the unit's last one; usually the newest commit of a table is the unit's own
RESTORES = 10  # that lead to each other


def restored_sequence(table: DeltaTable, files: TableFiles, app_id: str) -> int | None:
    """The unit's commit whose rows the table has, where it was restored after the unit's last action; else None."""
    restored = _restored_version(files, app_id, table.version())
    for _ in range(RESTORES):
        if restored is None:
            return None
        version = _version_of(files, restored)
        if version is None:  # the log of that time is cleaned up
            return 0
        restored = _restored_version(files, app_id, version)
        if restored is None:
            return _sequence_at(files, version, app_id)
    return 0


def _restored_version(files: TableFiles, app_id: str, version: int) -> Mapping[str, Any] | None:
    """The parameters of the newest `RESTORE` up to `version`; None where an action of the unit is newer, or neither is found."""
    for number in range(version, max(version - SEARCHED_COMMITS, -1), -1):
        actions = read_commit(files, number)
        if actions is None or any(_is_of(action, app_id) for action in actions):
            return None
        for action in actions:
            info = action.get("commitInfo", {})
            if info.get("operation") == "RESTORE":
                return dict(info.get("operationParameters", {}))
    return None


def _is_of(action: Mapping[str, Any], app_id: str) -> bool:
    return "txn" in action and action["txn"]["appId"] in (app_id, f"{app_id}::epoch")


def _version_of(files: TableFiles, parameters: Mapping[str, Any]) -> int | None:
    """The version that was restored: given by number, or by time (delta-rs: `datetime`, Spark: `timestamp`)."""
    if parameters.get("version") is not None:
        return int(parameters["version"])
    at = parameters.get("datetime") or parameters.get("timestamp")
    if at is None:
        return None
    try:
        table = DeltaTable(files.uri, storage_options=files.options or None)
        table.load_as_version(str(at))
    except Exception:  # the library has no class of its own for a time that it does not read, or a version that is gone
        return None
    return table.version()


def _sequence_at(files: TableFiles, version: int, app_id: str) -> int:
    try:
        table = DeltaTable(files.uri, version=version, storage_options=files.options or None)
    except Exception:  # the version's files are cleaned up
        return 0
    return int(table.transaction_version(app_id) or 0)
