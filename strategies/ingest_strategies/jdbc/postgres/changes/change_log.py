"""The log of a unit: opened before the first load, planned after it, moved on behind the checkpoint, and dropped."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pyarrow as pa
from pydantic import JsonValue

from ingest_ray.sdk.changes import has_changes, table_columns
from ingest_ray.sdk.contracts import KeptLog, LogReaders, LogStatus, Probe, ReadContext
from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.errors import ModeUnsupported, SnapshotLost
from ingest_ray.sdk.types import (
    Dataset,
    Diagnostic,
    Endpoint,
    Horizon,
    Interval,
    LogHistory,
    Piece,
    Scope,
    SegmentState,
    Slice,
    UnitConfig,
    UnitSpec,
)
from ingest_strategies.jdbc.changes.change_rows import as_loaded, refuse_columns, unknown_columns
from ingest_strategies.jdbc.changes.checkpoint import history_of, log_scopes, unfinished_advances
from ingest_strategies.jdbc.changes.unit_checks import check_changes
from ingest_strategies.jdbc.dialect import Dialect, Session
from ingest_strategies.jdbc.planning.cuts import cut_gap
from ingest_strategies.jdbc.planning.probe import SEGMENT, CursorProbe, TableProbe, open_probe
from ingest_strategies.jdbc.planning.scopes import first_load_scopes
from ingest_strategies.jdbc.postgres.catalog import read_column_types
from ingest_strategies.jdbc.postgres.changes.backlog import (
    begun_at,
    read_status,
    refuse_retained,
)
from ingest_strategies.jdbc.postgres.changes.inventory import list_slots
from ingest_strategies.jdbc.postgres.changes.log_parts import release_parts
from ingest_strategies.jdbc.postgres.changes.log_reader import read_log
from ingest_strategies.jdbc.postgres.changes.lsn import lsn_text, number_of, position_of
from ingest_strategies.jdbc.postgres.changes.publication import (
    check_generated,
    check_identity,
    check_published,
    drop_publication,
    publication_name,
    publish_table,
)
from ingest_strategies.jdbc.postgres.changes.published_table import require_same
from ingest_strategies.jdbc.postgres.changes.readiness import diagnose_log
from ingest_strategies.jdbc.postgres.changes.shared_slot import (
    advance_shared_slot,
    leave_shared_slot,
    prepare_shared_slot,
)
from ingest_strategies.jdbc.postgres.changes.slot import (
    advance_slot,
    check_server,
    create_slot,
    drop_slot,
    name_of,
    read_log_end,
    read_slot,
    require_slot,
    shared_name,
    slot_name,
)
from ingest_strategies.jdbc.postgres.changes.timeline import is_kept, is_same, read_history, read_until
from ingest_strategies.jdbc.postgres.changes.unit_slot import find_or_read, find_unit_slot, read_relation_oid
from ingest_strategies.jdbc.postgres.row_security import read_policies
from ingest_strategies.jdbc.reader import read
from ingest_strategies.jdbc.standard_sql import StandardSql, quoted_text

ROUND_SLICES = 2  # of `target_slice_bytes`: how much of the log one round reads; the slot is moved on after each


@dataclass(frozen=True)
class LogProbe:
    """What the log has from the watermark on. `upper`: how far this round reads. `end`, `history`: of the server's log."""

    lower: int
    upper: int
    has_changes: bool
    end: int
    history: LogHistory | None
    version: int


class PostgresLog:
    """The `ChangeLog` of PostgreSQL, and how its units are planned and read. Holds no state."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def has_changes_of(self, dataset: Dataset) -> bool:
        return dataset.facts.get("relkind") in ("r", "p") and not dataset.facts.get("inherited")

    def check(self, spec: UnitSpec) -> None:
        if not self.has_changes_of(spec.dataset):
            raise ModeUnsupported(f"{spec.unit_id}: only tables have changes in the log", hint="run_mode: FULL")
        check_changes(spec)

    # --- the slot

    def open_log(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> None:
        begun = begun_at(known.get(SEGMENT), spec)
        with self._dialect.open(spec.endpoint) as session:
            version = self._check(session, spec)
            if begun is None:
                self._make_slot(session, spec, version)
                return
            found = find_unit_slot(session, spec)
            check_published(session, spec, found.publication, is_first=False)
            require_same(session, spec, known.get(SEGMENT), begun, found.publication, version)
            slot = found.require(begun)
            if found.is_own:
                advance_slot(session, slot, begun)
                prepare_shared_slot(session, spec, version)
                found = find_unit_slot(session, spec)
            if found.slot is not None:
                refuse_retained(spec, found.slot, begun, is_own=found.is_own)

    def _make_slot(self, session: Session, spec: UnitSpec, version: int) -> None:
        """One for the unit alone. The one that is there is of a load that counted nothing, or of a checkpoint that was forgotten."""
        name = slot_name(spec)
        drop_slot(session, name)
        drop_publication(session, name)
        publish_table(session, spec, version)
        create_slot(session, name, version)
        prepare_shared_slot(session, spec, version)

    def _check(self, session: Session, spec: UnitSpec) -> int:
        version = check_server(session, spec.endpoint.endpoint_id)
        check_identity(session, spec)
        check_generated(session, spec, schema_of(spec.dataset, spec.policy.columns or None).names, version)
        relation = f"{quoted_text(StandardSql().table(spec.dataset))}::regclass"
        if policies := read_policies(session, relation):
            raise ModeUnsupported(
                f"{spec.unit_id}: {next(iter(policies.values()))}: the log has all rows", hint="a role with BYPASSRLS"
            )
        return version

    def advance_log(self, spec: UnitSpec, known: Mapping[str, SegmentState], readers: LogReaders) -> None:
        begun, name = begun_at(known.get(SEGMENT), spec), slot_name(spec)
        if begun is None:
            return
        is_loaded = known[SEGMENT].is_loaded
        with self._dialect.open(spec.endpoint) as session:
            slot = read_slot(session, name)
            if slot is not None and not slot.is_lost:
                advance_slot(session, slot, begun)
                release_parts(name, begun, slot.server)
            if is_loaded:
                advance_shared_slot(session, spec, begun, readers)

    def drop_log(self, spec: UnitSpec, readers: LogReaders) -> Sequence[str]:
        name = slot_name(spec)
        with self._dialect.open(spec.endpoint) as session:
            dropped = [f"replication slot {name}"] if drop_slot(session, name) else []
            dropped += [f"publication {name}"] if drop_publication(session, name) else []
            return dropped + leave_shared_slot(session, spec, readers)

    def read_log_status(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> LogStatus:
        with self._dialect.open(spec.endpoint) as session:
            return read_status(session, spec, known.get(SEGMENT))

    def diagnose(self, endpoint: Endpoint) -> Sequence[Diagnostic]:
        with self._dialect.open(endpoint) as session:
            return list(diagnose_log(session, endpoint))

    def list_logs(self, endpoint: Endpoint) -> Sequence[KeptLog]:
        with self._dialect.open(endpoint) as session:
            return list_slots(session, endpoint)

    def log_name(self, endpoint: Endpoint, unit: UnitConfig) -> str:
        return name_of(endpoint, unit)

    def shared_log_name(self, endpoint: Endpoint) -> str:
        return shared_name(endpoint)

    # --- planning

    @contextmanager
    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> Iterator[Probe]:
        state = known.get(SEGMENT)
        if state is not None and state.is_loaded:
            yield self._probe_log(spec, state)
            return
        begun = begun_at(state, spec)
        with self._dialect.open(spec.endpoint) as session:
            version, before = self._check(session, spec), read_history(session)
            facts = {"replica_identity": check_identity(session, spec), "publication": publication_name(spec)}
            slot = read_slot(session, slot_name(spec))
            if begun is None:
                begun = slot.confirmed if slot is not None and slot.confirmed is not None else read_log_end(session)
                if slot is not None and slot.is_lost:
                    require_slot(slot, slot.name, begun)
                # A value that a column got before this position is in no change, and the load would not read the column.
                refuse_columns(spec, unknown_columns(spec, read_column_types(session, spec.dataset)))
            facts["slot"] = slot_name(spec) + ("" if slot is not None else ", which the first run makes")
            publication = find_unit_slot(session, spec).publication if slot is not None else facts["publication"]
        note = "the first load; changes are read from this position on"
        horizon = Horizon(value=position_of(begun), method="position of the replication slot", note=note)
        with open_probe(self._dialect, spec, known) as probe:
            table_probe: TableProbe = replace(probe.live, cursor=CursorProbe(horizon))
            history = require_same(table_probe.session, spec, state, begun, publication, version)
            if not is_same(before, history):  # the position may be one of a history that is lost
                raise SnapshotLost(f"{spec.unit_id}: another server answered", hint="the run plans again")
            if history is not None and probe.snapshot is None:
                history = history.model_copy(update={"seen": None})  # rows are read as they will be then
            yield replace(probe, horizon=horizon, live=table_probe, facts={**probe.facts, **facts}, history=history)

    def _probe_log(self, spec: UnitSpec, state: SegmentState) -> Probe:
        unfinished = next(iter(unfinished_advances(state)), None)
        lower = begun_at(state, spec)
        assert lower is not None
        with self._dialect.open(spec.endpoint) as session:
            version = check_server(session, spec.endpoint.endpoint_id)
            found = find_unit_slot(session, spec)
            current = require_same(session, spec, state, lower, found.publication, version)
            slot = found.require(lower)
            end = max(slot.end, lower)
            upper = min(end, lower + ROUND_SLICES * spec.policy.target_slice_bytes)
            if unfinished is not None and not is_kept(unfinished, current, end):
                unfinished = None
            has_any = looks_up = unfinished is not None
            if unfinished is not None and unfinished.target.upper is not None:
                upper = number_of(unfinished.target.upper)
            elif upper > lower:
                part = find_or_read(session, spec, lower, upper, is_exact=False)
                upper = part.upper
                oid = read_relation_oid(session, spec)
                has_any, looks_up = part.has_changes(oid, lower), part.has_moves(oid)
                if not is_same(current, require_same(session, spec, state, lower, found.publication, version)):
                    raise SnapshotLost(f"{spec.unit_id}: another server answered", hint="the run plans again")
            slot = find_unit_slot(session, spec).require(lower)  # it had all of it while it was looked through
            facts: dict[str, JsonValue] = {
                "slot": slot.name,
                "publication": found.publication,
                "replica_identity": check_identity(session, spec),
                "lag_bytes": end - lower,
                "retained_bytes": slot.retained_bytes,
            }
        history = read_until(history_of(state), current, position_of(upper), looks_up=looks_up)
        return Probe(
            strategy=self._dialect.template,
            bytes=upper - lower if has_any else 0,
            horizon=Horizon(value=position_of(upper), method="end of the log", note=f"the log ends at {lsn_text(end)}"),
            facts=facts,
            live=LogProbe(lower, upper, has_any, end, current, version),
            log_end=end,
            log_upper=upper,
            unchanged_until=None if has_any or upper == lower else {SEGMENT: position_of(upper)},
            history=history,
        )

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        state = known.get(SEGMENT)
        if isinstance(probe.live, TableProbe):
            assert probe.live.cursor is not None
            scopes: Sequence[Scope] = first_load_scopes(probe.live, probe.live.cursor, state)
        else:
            assert state is not None
            log: LogProbe = probe.live
            scopes = log_scopes(
                state,
                position_of(log.lower),
                position_of(log.upper),
                has_changes=log.has_changes,
                is_kept=lambda scope: is_kept(scope, log.history, log.end),
            )
        return [scope.model_copy(update={"history": probe.history}) for scope in scopes]

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        """One slice of the log: the changes of a table are applied in its order, one commit after the other."""
        if isinstance(probe.live, TableProbe):
            lsn = number_of(scope.horizon) if scope.horizon is not None else 0
            for piece in cut_gap(probe.live.with_learned(spec), scope, gap):
                yield piece.model_copy(update={"hints": {**piece.hints, "lsn": lsn}})
            return
        log: LogProbe = probe.live
        planned_on: dict[str, JsonValue] = {"version": log.version}
        if log.history is not None:
            planned_on["history"] = log.history.model_dump(mode="json")
        yield Piece(interval=gap, estimated_bytes=log.upper - log.lower, hints=planned_on)

    # --- reading

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
        if piece.axis.kind == "log":
            yield from read_log(self._dialect, spec, piece, context)
            return
        if not has_changes(context.schema):
            yield from read(self._dialect, spec, piece, context)
            return
        lsn = int(str(piece.hints.get("lsn", 0)))
        plain = replace(context, schema=table_columns(context.schema))
        for batch in read(self._dialect, spec, piece, plain):
            yield as_loaded(batch, context.schema, lsn)
