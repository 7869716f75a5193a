"""Reads and forgets a unit's state, without being its owner."""

from collections.abc import Collection
from contextlib import suppress

from pydantic import JsonValue

from ingest_ray.contracts import KV
from ingest_ray.errors import RunActive, StateUnreadable
from ingest_ray.kv.keys import intent_key, lease_key, segment_prefix
from ingest_ray.models import Position
from ingest_ray.state.documents import LeaseDocument, SegmentDocument, UnitDocument, UnitState, parsed
from ingest_ray.state.lease import describe, is_live


def read_states(kv: KV, unit_key: str) -> UnitState:
    lease = read_lease(kv, unit_key)
    unit = kv.get(unit_key)
    document = parsed(UnitDocument, unit_key, unit[0]) if unit else None
    segments = {}
    for key, value, _ in kv.scan(segment_prefix(unit_key)):
        state = parsed(SegmentDocument, key, value).state
        segments[state.segment] = state
    return UnitState(
        unit_key=unit_key,
        epoch=lease.epoch if lease else 0,
        sequence=document.sequence if document else 0,
        run_id=document.run_id if document else None,
        learned=document.learned if document else UnitState(unit_key=unit_key).learned,
        segments=segments,
        lease=lease,
        has_intent=kv.get(intent_key(unit_key)) is not None,
    )


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
    lease = parsed(LeaseDocument, unit_key, documents["::lease"]) if "::lease" in documents else None
    unit = parsed(UnitDocument, unit_key, documents[""]) if "" in documents else None
    found = [
        parsed(SegmentDocument, unit_key, value).state
        for name, value in documents.items()
        if name.startswith("::segment::")
    ]
    return UnitState(
        unit_key=unit_key,
        epoch=lease.epoch if lease else 0,
        sequence=unit.sequence if unit else 0,
        run_id=unit.run_id if unit else None,
        segments={state.segment: state for state in found},
        lease=lease,
        has_intent="::intent" in documents,
    )


def shown(position: Position | None) -> JsonValue:
    """A position as people see it: the value itself where it has one part."""
    if position is None:
        return None
    return position[0] if len(position) == 1 else list(position)


def read_lease(kv: KV, unit_key: str) -> LeaseDocument | None:
    key = lease_key(unit_key)
    found = kv.get(key)
    return parsed(LeaseDocument, key, found[0]) if found else None


def reset_state(kv: KV, unit_key: str) -> int:
    """Forgets checkpoint and intent; returns the number of segments forgotten. The lease stays: epochs never go back.

    Documents that cannot be read are removed, too: this is the way out of `E_STATE_UNREADABLE`.

    Raises:
        RunActive: the unit has a live run.
    """
    lease = read_lease(kv, unit_key)
    if lease is not None and is_live(lease):
        raise RunActive(f"unit has a live run: {describe(lease)}", hint="wait for it, or stop it first")
    segments = list(kv.scan(segment_prefix(unit_key)))
    for key in (unit_key, intent_key(unit_key)):
        found = kv.get(key)
        if found is not None:
            kv.delete(key, found[1])
    for key, _, version in segments:
        kv.delete(key, version)
    return len(segments)
