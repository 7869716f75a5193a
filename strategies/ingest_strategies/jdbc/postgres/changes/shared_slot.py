"""The slot that the units of an endpoint share: made, joined, moved on to what all of them have, and left behind by those that lag.

A unit begins with a slot of its own, so that a load of hours holds back nothing for the others, and joins when it has caught up. From then on
the shared slot never passes its checkpoint. A unit that lags far behind the others, because it fails, is disabled or is not run, gets a
copy of the slot, and the others go on. All of this is done under the slot's lock, by the session that has it.
"""

import logging
from collections.abc import Sequence

from ingest_ray.sdk.contracts import LogReader, LogReaders
from ingest_ray.sdk.errors import ConfigError, IngestError, SourceDenied
from ingest_ray.sdk.types import UnitSpec
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.planning.probe import SEGMENT
from ingest_strategies.jdbc.postgres.changes.backlog import begun_at
from ingest_strategies.jdbc.postgres.changes.log_parts import release_parts
from ingest_strategies.jdbc.postgres.changes.publication import (
    drop_publication,
    publication_name,
    publish_table,
    read_published_xid,
    read_published_xids,
    unpublish_table,
)
from ingest_strategies.jdbc.postgres.changes.slot import (
    Slot,
    advance_slot,
    copy_slot,
    create_slot,
    drop_slot,
    list_slot_names,
    own_name,
    read_slot,
    shared_name,
    slot_name,
)
from ingest_strategies.jdbc.postgres.changes.slot_lock import slot_lock
from ingest_strategies.jdbc.postgres.changes.unit_slot import has_all, has_publication

log = logging.getLogger(__name__)

LAG_ROUNDS = 8  # of `target_slice_bytes`: a unit that is so far behind the first one gets a slot of its own


def prepare_shared_slot(session: Session, spec: UnitSpec, version: int) -> None:
    """For a unit that reads a slot of its own: publishes its table among the others, and makes the shared slot. Where that is not possible
    now, the unit goes on with its own one."""
    name = shared_name(spec.endpoint)
    try:
        publish_table(session, spec, version)
        if read_published_xid(session, publication_name(spec), spec.dataset.name) is None:
            return  # of all tables, or those of a schema
        slot = read_slot(session, name)
        if slot is not None and slot.is_lost:  # those that needed it must be loaded again
            with slot_lock(session, name):
                slot = read_slot(session, name)
                if slot is not None and slot.is_lost:
                    drop_slot(session, name)
                    slot = None
        if slot is None:
            create_slot(session, name, version)
    except (ConfigError, SourceDenied) as error:
        log.warning("%s: it reads a replication slot of its own: %s", spec.unit_id, error.message)
    except IngestError as error:
        log.info("%s: the shared replication slot is not made yet: %s", spec.unit_id, error.message)


def advance_shared_slot(session: Session, spec: UnitSpec, begun: int, readers: LogReaders) -> None:
    """Lets the unit join the others, where it can, and moves their slot on to what all of them have."""
    name, own = shared_name(spec.endpoint), slot_name(spec)
    with slot_lock(session, name):
        slot = read_slot(session, name)
        if slot is None or slot.is_lost or slot.confirmed is None:
            return
        apart = list_slot_names(session)
        if own in apart and _may_join(session, spec, slot, begun):
            drop_slot(session, own)
            apart.discard(own)
        to = _common_position(session, spec, slot, begun, readers(), apart)
        advance_slot(session, slot, to)
        release_parts(name, max(to, slot.confirmed), slot.server)
    if own not in apart and has_publication(session, own):
        drop_publication(session, own)  # which each unit had


def _may_join(session: Session, spec: UnitSpec, slot: Slot, begun: int) -> bool:
    """Whether the slot has every change of the table from the unit's checkpoint on."""
    if slot.confirmed is None or not slot.confirmed <= begun <= slot.end:
        return False
    return has_all(slot.catalog_xmin, read_published_xid(session, publication_name(spec), spec.dataset.name))


def _common_position(
    session: Session, spec: UnitSpec, slot: Slot, begun: int, readers: Sequence[LogReader], apart: set[str]
) -> int:
    """The least position of all units that share the slot; units far behind the first of them get slots of their own."""
    assert slot.confirmed is not None
    positions = {}
    published = read_published_xids(session, publication_name(spec))  # one query, however many units there are
    for reader in readers:
        name = own_name(spec.endpoint, reader.unit_id, reader.sink_id)
        position = begun if name == slot_name(spec) else begun_at(reader.known.get(SEGMENT), spec)
        if position is None or name in apart or position < slot.confirmed:  # or its log is gone already
            continue
        if has_all(slot.catalog_xmin, published.get(reader.unit_id)):
            positions[name] = position
    if not positions:
        return begun
    most = LAG_ROUNDS * spec.policy.target_slice_bytes
    for name, position in sorted(positions.items(), key=lambda item: item[1]):
        if max(positions.values()) - position > most and _set_apart(session, slot, name):
            del positions[name]
    return min(positions.values())


def _set_apart(session: Session, slot: Slot, name: str) -> bool:
    try:
        copy_slot(session, slot.name, name)
    except IngestError as error:
        log.warning(
            "replication slot '%s' cannot be made: '%s' keeps the log for it: %s", name, slot.name, error.message
        )
        return False
    log.warning(
        "a unit lags behind the others that share replication slot '%s': '%s' keeps the log for it", slot.name, name
    )
    return True


def leave_shared_slot(session: Session, spec: UnitSpec, others: LogReaders) -> list[str]:
    """Removes what no other unit needs: the table's part in the publication, or all of it with the slot after the last unit."""
    name, left = shared_name(spec.endpoint), others()
    begins = name.rpartition("_")[0]
    is_last = not left and not any(one.startswith(begins) and one != name for one in list_slot_names(session))
    dropped = []
    if is_last:
        with slot_lock(session, name):
            if drop_slot(session, name):
                dropped.append(f"replication slot {name}")
        if drop_publication(session, name):
            dropped.append(f"publication {name}")
    elif not any(reader.unit_id == spec.unit_id for reader in left) and unpublish_table(session, spec):
        dropped.append(f"its part of replication slot {name}")
    elif read_slot(session, name) is not None:
        dropped.append(f"its hold on replication slot {name}")
    return dropped
