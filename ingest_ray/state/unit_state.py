"""Reads a unit's state without its lease, and resets it under one."""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

from pydantic import JsonValue

from ingest_ray.kv.keys import intent_key, lease_key, segment_prefix, unit_of
from ingest_ray.sdk.contracts import KV
from ingest_ray.sdk.errors import Fenced, StateConflict, StateUnreadable
from ingest_ray.sdk.types import Learned
from ingest_ray.state.documents import (
    D,
    IntentDocument,
    LeaseDocument,
    Owner,
    SegmentDocument,
    UnitDocument,
    UnitState,
    dumped,
    parsed,
)
from ingest_ray.state.lease import Lease, this_process


def read_states(kv: KV, unit_key: str) -> UnitState:
    """Reads one unit with a single scan, because a launch reads every unit several times."""
    under = f"{unit_key}::"
    found = ((key, value) for key, value, _ in kv.scan(unit_key) if key == unit_key or key.startswith(under))
    return _state_of(unit_key, {key.removeprefix(unit_key): value for key, value in found})


def read_unit_states(kv: KV, prefix: str, unit_keys: Collection[str]) -> dict[str, UnitState]:
    """The states of the units with the given keys under `prefix`, in one scan; other documents are not parsed.

    Units whose documents cannot be read are left out.
    """
    parts: dict[str, dict[str, dict[str, JsonValue]]] = {key: {} for key in unit_keys}
    for key, value, _ in kv.scan(prefix):
        unit_key = "::".join(key.split("::")[:8])
        if unit_key in parts:
            parts[unit_key][key.removeprefix(unit_key)] = value
    states = {}
    for unit_key, documents in parts.items():
        with suppress(StateUnreadable):
            states[unit_key] = _state_of(unit_key, documents)
    return states


def read_all_states(kv: KV, prefix: str) -> dict[str, UnitState]:
    """The states of all units whose keys begin with `prefix`, by their keys, in one scan.

    Raises:
        StateUnreadable: a document of one of them cannot be read.
    """
    parts: dict[str, dict[str, dict[str, JsonValue]]] = {}
    for key, value, _ in kv.scan(prefix):
        if unit_of(key) is not None:
            unit_key = "::".join(key.split("::")[:8])
            parts.setdefault(unit_key, {})[key.removeprefix(unit_key)] = value
    return {unit_key: _state_of(unit_key, documents) for unit_key, documents in parts.items()}


def mark_log_dropped(kv: KV, unit_key: str, lease: Lease) -> None:
    """Notes, under the unit's lease, that its log was given up. A unit without a checkpoint has nothing to note."""
    while (found := kv.get(unit_key)) is not None:
        _refuse_newer(unit_key, found[0], lease.epoch)
        document = parsed(UnitDocument, unit_key, found[0])
        marked = document.model_copy(update={"epoch": lease.epoch, "is_log_dropped": True})
        with suppress(StateConflict):
            kv.put(unit_key, dumped(marked), found[1])
            return


def _state_of(unit_key: str, documents: dict[str, dict[str, JsonValue]]) -> UnitState:
    def part(kind: type[D], name: str) -> D | None:
        return parsed(kind, unit_key + name, documents[name]) if name in documents else None

    lease, unit, intent = part(LeaseDocument, "::lease"), part(UnitDocument, ""), part(IntentDocument, "::intent")
    if unit is not None and unit.is_resetting:
        return UnitState(unit_key=unit_key, epoch=lease.epoch if lease else 0, lease=lease)
    found = [
        parsed(SegmentDocument, unit_key + name, value).state
        for name, value in documents.items()
        if name.startswith("::segment::")
    ]
    return UnitState(
        unit_key=unit_key,
        epoch=lease.epoch if lease else 0,
        sequence=unit.sequence if unit else 0,
        last_claimed=max([unit.last_claimed if unit else 0, *(state.sequence for state in found)]),
        committed_by=unit.committed_by if unit else 0,
        run_id=unit.run_id if unit else None,
        learned=unit.learned if unit else Learned(),
        cursor=unit.cursor if unit else None,
        table=unit.table if unit else None,
        layout=unit.layout if unit else "",
        location=unit.location if unit else "",
        is_log_dropped=unit.is_log_dropped if unit else False,
        tables=unit.tables if unit else (),
        segments={state.segment: state for state in found},
        lease=lease,
        has_intent=intent is not None and not intent.is_settled,
    )


def read_lease(kv: KV, unit_key: str) -> LeaseDocument | None:
    key = lease_key(unit_key)
    found = kv.get(key)
    return parsed(LeaseDocument, key, found[0]) if found else None


def reset_state(kv: KV, unit_key: str, owner: Owner | None = None, clock: Callable[[], float] = time.time) -> int:
    """Deletes checkpoint and intent; returns the number of segments deleted. The lease stays: epochs never go back.

    Holds the lease meanwhile, so that no run can begin on a half-deleted state. After a crash in between, the next run
    finishes the reset, because the unit's document says that it began. Documents that cannot be read are deleted, too:
    this is the way out of `E_STATE_UNREADABLE`. Where the lease itself is unreadable, the next run takes its epoch from
    the sink.

    Raises:
        RunActive: the unit has a live run.
    """
    _forget_unreadable_lease(kv, unit_key)
    lease = Lease.acquire(kv, unit_key, "reset", owner or this_process(), clock)
    try:
        _mark_as_resetting(kv, unit_key, lease)
        return forget_state(kv, unit_key, lease)
    finally:
        lease.release()


def _mark_as_resetting(kv: KV, unit_key: str, lease: Lease) -> None:
    mark = dumped(UnitDocument(epoch=lease.epoch, run_id="reset", is_resetting=True))
    while (found := kv.get(unit_key)) is not None:
        _refuse_newer(unit_key, found[0], lease.epoch)
        with suppress(StateConflict):
            kv.put(unit_key, mark, found[1])
            return


def forget_state(kv: KV, unit_key: str, lease: Lease) -> int:
    """Deletes checkpoint and intent under a lease; returns the number of segments deleted.

    The intent goes after the segments that it names, and the unit's document, which says that a reset began, goes last.
    """
    segments = [key for key, _, _ in kv.scan(segment_prefix(unit_key))]
    for key in (*segments, intent_key(unit_key), unit_key):
        lease.check()
        _forget(kv, key, lease.epoch)
    return len(segments)


def _forget(kv: KV, key: str, epoch: int) -> None:
    """Deletes a document, also one that a process of an older epoch writes meanwhile; one of a newer epoch means a lost lease."""
    while (found := kv.get(key)) is not None:
        document, version = found
        _refuse_newer(key, document, epoch)
        with suppress(StateConflict):
            kv.delete(key, version)


def _refuse_newer(key: str, document: Mapping[str, JsonValue], epoch: int) -> None:
    if max(_number(document.get("epoch")), _number(document.get("held_by"))) > epoch:
        raise Fenced(f"state '{key}' was written by a newer run: the reset took longer than its lease")


def _number(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0


def _forget_unreadable_lease(kv: KV, unit_key: str) -> None:
    try:
        read_lease(kv, unit_key)
    except StateUnreadable:
        key = lease_key(unit_key)
        found = kv.get(key)
        if found is not None:
            kv.delete(key, found[1])
