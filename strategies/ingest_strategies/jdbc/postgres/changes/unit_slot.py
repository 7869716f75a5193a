"""Which slot has the log of a unit: one of its own, while it is loaded or lags behind; else the one that the endpoint's units share.

The server says which: where a slot of the unit's own exists, it is read; a unit joins the others when that slot is dropped, and is apart
again when one is copied for it. So no process can take one for the other, and nothing else must be kept.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ingest_ray.sdk.errors import LogGone, SourceUnavailable
from ingest_ray.sdk.types import UnitSpec
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.postgres.changes.log_parts import LogPart, find_part, read_part
from ingest_strategies.jdbc.postgres.changes.lsn import lsn_text
from ingest_strategies.jdbc.postgres.changes.publication import read_published_xid, table_literal
from ingest_strategies.jdbc.postgres.changes.slot import (
    RELOAD_HINT,
    Slot,
    read_slots,
    require_slot,
    shared_name,
    slot_name,
)
from ingest_strategies.jdbc.postgres.changes.slot_lock import slot_lock
from ingest_strategies.jdbc.postgres.config import PostgresConfig
from ingest_strategies.jdbc.standard_sql import quoted_text

_HAS_PUBLICATION = "SELECT count(*)::bigint FROM pg_publication WHERE pubname = {name}"
MODULUS = (
    2**32
)  # numbers of transactions are compared as the server does: one is older if it is behind by less than half of them
FIRST_XID = 3  # smaller ones are older than all: https://www.postgresql.org/docs/current/routine-vacuuming.html


@dataclass(frozen=True)
class UnitSlot:
    """`slot` None: there is none. `is_own`: it has this unit's log alone."""

    name: str
    slot: Slot | None
    is_own: bool
    publication: str
    published: int | None = None
    """The transaction that published the table for all units."""

    def require(self, begun: int) -> Slot:
        """Raises `LogGone` where the slot does not have every change from `begun` on."""
        slot = require_slot(self.slot, self.name, begun)
        if not self.is_own and not has_all(slot.catalog_xmin, self.published):
            raise LogGone(
                f"the log is gone from {lsn_text(begun)} on: the unit's own replication slot does not exist any more, and"
                f" '{self.name}' does not have all changes of the table",
                hint=RELOAD_HINT,
            )
        return slot


def has_all(catalog_xmin: int, published: int | None) -> bool:
    """Whether a slot has every change of a table that was published by this transaction. One that began before it is decoded without the
    table; the slot has none of them if it needs no catalog of that time. None: not known, and so not proven."""
    if published is None or catalog_xmin < FIRST_XID:
        return False
    return published < FIRST_XID or 0 < (catalog_xmin - published) % MODULUS < MODULUS // 2


def find_unit_slot(session: Session, spec: UnitSpec) -> UnitSlot:
    own, shared = slot_name(spec), shared_name(spec.endpoint)
    given = parse_config(PostgresConfig, spec.endpoint).publication
    slots = read_slots(session, own, shared)  # of one moment: the unit may be set apart between two looks
    if own in slots:
        return UnitSlot(own, slots[own], True, given or (own if has_publication(session, own) else shared))
    published = read_published_xid(session, given or shared, spec.dataset.name)
    return UnitSlot(shared, slots.get(shared), False, given or shared, published)


def has_publication(session: Session, name: str) -> bool:
    return bool(session.rows(_HAS_PUBLICATION.format(name=quoted_text(name)))[0][0])


def read_relation_oid(session: Session, spec: UnitSpec) -> int:
    return int(session.rows(f"SELECT {table_literal(spec)}::regclass::oid::bigint")[0][0])


def find_or_read(
    session: Session,
    spec: UnitSpec,
    lower: int,
    upto: int,
    *,
    is_exact: bool,
    is_stopping: Callable[[], bool] = lambda: False,
) -> LogPart:
    """A part of the log in which `lower` is. `is_exact`: and which has everything up to `upto`; else one that another unit has read may
    end before it or after it.

    Raises:
        LogGone: the slot does not have every transaction from `lower` on.
        SourceUnavailable: it is in use.
    """
    oid = read_relation_oid(session, spec)
    found = find_unit_slot(session, spec)
    part = _find(found, lower, upto, is_exact=is_exact)
    if part is not None:
        return part
    with slot_lock(session, found.name):
        found = find_unit_slot(session, spec)  # it may be another one now: the unit joined, or was set apart
        part = _find(found, lower, upto, is_exact=is_exact)  # another thread may have read it meanwhile
        if part is None:
            only = oid if found.is_own else None
            part = read_part(session, found.require(lower), found.publication, upto, only, is_stopping)
    if part.lower > lower:
        find_unit_slot(session, spec).require(lower)
        raise SourceUnavailable(f"replication slot '{found.name}' was moved on while it was read")
    return part


def _find(found: UnitSlot, lower: int, upto: int, *, is_exact: bool) -> LogPart | None:
    def fits(part: LogPart) -> bool:
        is_covered = part.lower <= lower < part.upper and (not is_exact or upto <= part.upper)
        # A part that was read before the table was published in the slot's log may lack its changes.
        return is_covered and (found.is_own or has_all(part.catalog_xmin, found.published))

    return find_part(found.require(lower), found.publication, fits)
