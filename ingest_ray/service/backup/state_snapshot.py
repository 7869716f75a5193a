"""The documents of each unit as they were at one moment, read while runs write them.

A unit between two commits is preferred: an intent that is open in a copy may be recorded again with other slices while the original goes on,
and could then not be compared with the sink any more.
"""

import time
from collections.abc import Iterator

from pydantic import JsonValue

from ingest_ray.kv.keys import unit_of
from ingest_ray.sdk.contracts import KV, SnapshotReader
from ingest_ray.sdk.errors import StateUnreadable
from ingest_ray.state.documents import IntentDocument, LeaseDocument, dumped, parsed
from ingest_ray.state.lease import is_live

SETTLED_WAIT_S = 60.0  # for the end of a unit's commit; one that takes longer is copied with its open intent
PAUSE_S = 0.02
STABLE_TRIES = 200

Documents = dict[str, dict[str, JsonValue]]


def unit_keys(kv: KV) -> list[str]:
    found = ("::".join(key.split("::")[:8]) for key, _, _ in kv.scan("ingest::") if unit_of(key) is not None)
    return list(dict.fromkeys(found))


def read_unit(kv: KV, unit_key: str) -> Documents:
    """The documents under a unit's key, if possible between two commits. An intent that stays open of a run that lives is marked, so that
    it is not rolled forward when the copy is used."""
    deadline = time.monotonic() + SETTLED_WAIT_S
    while True:
        documents = _read_at_once(kv, unit_key)
        key = f"{unit_key}::intent"
        if key not in documents:
            return documents
        try:
            intent = parsed(IntentDocument, key, documents[key])
            if intent.is_settled or not _is_held(documents, f"{unit_key}::lease"):
                return documents
        except StateUnreadable:  # copied as it is, so that one unit does not prevent the backup of the others
            return documents
        if time.monotonic() >= deadline:
            return {**documents, key: dumped(intent.model_copy(update={"opened_by": 0}))}
        time.sleep(PAUSE_S)


def _is_held(documents: Documents, lease_key: str) -> bool:
    return lease_key in documents and is_live(parsed(LeaseDocument, lease_key, documents[lease_key]))


def _read_at_once(kv: KV, unit_key: str) -> Documents:
    """By a request that is atomic, or else by two readings that find the same versions: a version never comes again."""
    if isinstance(kv, SnapshotReader):
        return {key: value for key, value, _ in _under(unit_key, kv.read_at_once(unit_key))}
    before: dict[str, int] = {}
    for _ in range(STABLE_TRIES):
        found = list(_under(unit_key, kv.scan(unit_key)))
        versions = {key: version for key, _, version in found}
        if versions == before:
            return {key: value for key, value, _ in found}
        before = versions
    raise StateUnreadable(f"state '{unit_key}' is written too often to be copied", hint="try again, or pause its run")


def _under(
    unit_key: str, found: Iterator[tuple[str, dict[str, JsonValue], int]]
) -> Iterator[tuple[str, dict[str, JsonValue], int]]:
    return (entry for entry in found if entry[0] == unit_key or entry[0].startswith(f"{unit_key}::"))
