"""Reads and forgets a unit's state, without being its owner."""

import time
from collections.abc import Callable, Collection
from contextlib import suppress

from pydantic import JsonValue

from ingest_ray.kv.keys import intent_key, lease_key, segment_prefix
from ingest_ray.sdk.contracts import KV
from ingest_ray.sdk.errors import Fenced, StateConflict, StateUnreadable
from ingest_ray.sdk.types import Learned, Position
from ingest_ray.state.documents import (
    D,
    IntentDocument,
    LeaseDocument,
    Owner,
    SegmentDocument,
    UnitDocument,
    UnitState,
    parsed,
)
from ingest_ray.state.lease import Lease, this_process

LONGEST = 48  # a summary names every segment, and must stay small


def read_states(kv: KV, unit_key: str) -> UnitState:
    """One walk, because a launch asks for every unit several times."""
    under = f"{unit_key}::"
    found = ((key, value) for key, value, _ in kv.scan(unit_key) if key == unit_key or key.startswith(under))
    return _state_of(unit_key, {key.removeprefix(unit_key): value for key, value in found})


def read_unit_states(kv: KV, prefix: str, unit_keys: Collection[str]) -> dict[str, UnitState]:
    """The states of many units whose keys begin with `prefix`, by key, in one walk; only those are parsed.

    One that cannot be read is left out.
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


def _state_of(unit_key: str, documents: dict[str, dict[str, JsonValue]]) -> UnitState:
    def part(kind: type[D], name: str) -> D | None:
        return parsed(kind, unit_key + name, documents[name]) if name in documents else None

    lease, unit, intent = part(LeaseDocument, "::lease"), part(UnitDocument, ""), part(IntentDocument, "::intent")
    found = [
        parsed(SegmentDocument, unit_key + name, value).state
        for name, value in documents.items()
        if name.startswith("::segment::")
    ]
    return UnitState(
        unit_key=unit_key,
        epoch=lease.epoch if lease else 0,
        sequence=unit.sequence if unit else 0,
        run_id=unit.run_id if unit else None,
        learned=unit.learned if unit else Learned(),
        cursor=unit.cursor if unit else None,
        segments={state.segment: state for state in found},
        lease=lease,
        has_intent=intent is not None and not intent.is_settled,
    )


LONGEST = 48  # a summary names every segment, and must stay small


def shown(position: Position | None) -> JsonValue:
    """A position as people see it: the value itself where it has one part, and of long texts only the beginning."""
    if position is None:
        return None
    parts = [part if len(str(part)) <= LONGEST else f"{str(part)[:LONGEST]}…" for part in position]
    return parts[0] if len(parts) == 1 else list(parts)


def read_lease(kv: KV, unit_key: str) -> LeaseDocument | None:
    key = lease_key(unit_key)
    found = kv.get(key)
    return parsed(LeaseDocument, key, found[0]) if found else None


def reset_state(kv: KV, unit_key: str, owner: Owner | None = None, clock: Callable[[], float] = time.time) -> int:
    """Forgets checkpoint and intent; returns the number of segments forgotten. The lease stays: epochs never go back.

    The lease is held meanwhile, as by a run, so that no run can begin on what is half forgotten. Dying in between leaves
    less than there was: what is left is consistent, because the intent goes after the segments that it speaks of.
    Documents that cannot be read are removed, too: this is the way out of `E_STATE_UNREADABLE`. Where that is the
    lease, the next run takes its epoch from the sink.

    Raises:
        RunActive: the unit has a live run.
    """
    _forget_unreadable_lease(kv, unit_key)
    lease = Lease.acquire(kv, unit_key, "reset", owner or this_process(), clock)
    try:
        segments = [key for key, _, _ in kv.scan(segment_prefix(unit_key))]
        for key in (*segments, intent_key(unit_key), unit_key):
            lease.check()
            _forget(kv, key, lease.epoch)
    finally:
        lease.release()
    return len(segments)


def _forget(kv: KV, key: str, epoch: int) -> None:
    """Whatever a process of an older epoch may still write there; a newer one would mean that the lease is lost."""
    while (found := kv.get(key)) is not None:
        document, version = found
        if max(_number(document.get("epoch")), _number(document.get("held_by"))) > epoch:
            raise Fenced(f"state '{key}' was written by a newer run: the reset took longer than its lease")
        with suppress(StateConflict):
            kv.delete(key, version)


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
