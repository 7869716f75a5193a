"""The binary log as the log of a unit: checked before the first load, planned after it. The server lets it go by its own rules."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa
from pydantic import JsonValue

from ingest_ray.sdk.changes import has_changes, table_columns
from ingest_ray.sdk.contracts import LogReaders, LogStatus, Probe, ReadContext
from ingest_ray.sdk.errors import ModeUnsupported
from ingest_ray.sdk.types import (
    Dataset,
    Diagnostic,
    Endpoint,
    Horizon,
    Interval,
    Piece,
    Scope,
    SegmentState,
    Slice,
    UnitSpec,
)
from ingest_strategies.jdbc.changes.change_rows import as_loaded, refuse_columns, unknown_columns
from ingest_strategies.jdbc.changes.checkpoint import begun_position, log_scopes, unfinished_advances
from ingest_strategies.jdbc.changes.unit_checks import check_changes
from ingest_strategies.jdbc.dialect import Dialect, Session
from ingest_strategies.jdbc.mysql.catalog import read_column_types
from ingest_strategies.jdbc.mysql.changes.first_load import PositionedDialect
from ingest_strategies.jdbc.mysql.changes.intervals import LogProbe, first_behind_s, look_ahead, read_log_table
from ingest_strategies.jdbc.mysql.changes.log_reader import read_log
from ingest_strategies.jdbc.mysql.changes.part_reader import LogTable
from ingest_strategies.jdbc.mysql.changes.positions import LogPosition
from ingest_strategies.jdbc.mysql.changes.readiness import diagnose_log
from ingest_strategies.jdbc.mysql.changes.server import (
    LogFile,
    LogServer,
    bytes_between,
    check_logged,
    check_server,
    check_table,
    read_files,
    read_server,
    read_visible_end,
)
from ingest_strategies.jdbc.planning.cuts import cut_gap
from ingest_strategies.jdbc.planning.probe import SEGMENT, CursorProbe, TableProbe, open_probe
from ingest_strategies.jdbc.planning.scopes import first_load_scopes
from ingest_strategies.jdbc.reader import read

ALARM_FRACTION = 0.5  # of the time for which the server keeps its log


class MysqlLog:
    """The `ChangeLog` of MySQL and MariaDB, and how its units are planned and read. Holds no state."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def has_changes_of(self, dataset: Dataset) -> bool:
        return dataset.facts.get("kind") == "BASE TABLE"

    def check(self, spec: UnitSpec) -> None:
        if not self.has_changes_of(spec.dataset):
            raise ModeUnsupported(
                f"{spec.unit_id}: only tables without versions of their rows have changes in the log", hint="run_mode: FULL"
            )  # fmt: skip
        check_changes(spec)

    def _check(self, session: Session, spec: UnitSpec) -> LogServer:
        server = read_server(session)
        check_server(server, spec.endpoint.endpoint_id)
        check_logged(session, server, spec)
        check_table(session, server, spec)
        return server

    def open_log(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> None:
        """Makes nothing at the server: only asks whether its log has what the unit needs."""
        state = known.get(SEGMENT)
        begun = begun_at(state, spec)
        if state is not None and state.is_loaded:
            return  # what is behind is read at once
        with self._dialect.open(spec.endpoint) as session:
            server = self._check(session, spec)
            if begun is not None:
                first_behind_s(read_log_table(session, spec, server), begun)

    def advance_log(self, spec: UnitSpec, known: Mapping[str, SegmentState], readers: LogReaders) -> None:
        """The server lets its log go by itself (`binlog_expire_logs_seconds`)."""

    def drop_log(self, spec: UnitSpec, readers: LogReaders) -> Sequence[str]:
        return []

    def diagnose(self, endpoint: Endpoint) -> Sequence[Diagnostic]:
        with self._dialect.open(endpoint) as session:
            return list(diagnose_log(session, endpoint))

    def read_log_status(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> LogStatus:
        begun = begun_at(known.get(SEGMENT), spec)
        with self._dialect.open(spec.endpoint) as session:
            table = read_log_table(session, spec, read_server(session)).with_gtids
            kept = sum(file.size_bytes for file in table.files)
            name = f"binary log from {table.files[0].name} on" if table.files else "binary log"
            kept_s = table.server.retention_s
            state = f"kept for {kept_s} s" if kept_s else "kept until it is purged"
            if begun is None:
                return LogStatus(name=name, state="new", end=str(table.end), retained_bytes=kept)
            oldest_s = oldest_unread_s(session, table, begun)
            if kept_s and oldest_s is not None and oldest_s > ALARM_FRACTION * kept_s:
                state = f"to be purged soon: kept for {kept_s} s"
            return LogStatus(
                name=name,
                state=state,
                position=str(begun),
                end=str(table.end),
                lag_bytes=bytes_between(table.files, begun, table.end),
                lag_s=oldest_s,
                retained_bytes=kept,
            )

    # --- planning

    @contextmanager
    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> Iterator[Probe]:
        state = known.get(SEGMENT)
        if state is not None and state.is_loaded:
            yield self._probe_log(spec, state)
            return
        begun = begun_at(state, spec)
        with self._dialect.open(spec.endpoint) as session:
            server = self._check(session, spec)
            if begun is None:
                begun = read_visible_end(spec.endpoint, session, server)
                # A value that a column got before this position is in no change, and the load would not read the column.
                refuse_columns(spec, unknown_columns(spec, read_column_types(session, spec.dataset)))
            facts = log_facts(server, read_files(session))
        note = "the first load; changes are read from this position on"
        horizon = Horizon(
            value=begun.position, method="end of the binary log, as the first snapshot shows it", note=note
        )
        with open_probe(self._dialect, spec, known) as probe:
            table_probe: TableProbe = replace(probe.live, cursor=CursorProbe(horizon))
            yield replace(probe, horizon=horizon, live=table_probe, facts={**probe.facts, **facts})

    def _probe_log(self, spec: UnitSpec, state: SegmentState) -> Probe:
        unfinished = next(iter(unfinished_advances(state)), None)
        lower = begun_at(state, spec)
        assert lower is not None
        with self._dialect.open(spec.endpoint) as session:
            table = read_log_table(session, spec, self._check(session, spec))
            facts = log_facts(table.server, table.files)
            lag_bytes = bytes_between(table.files, lower, table.end)
            if unfinished is not None and unfinished.target.upper is not None:
                found = LogProbe(lower, LogPosition.parse(unfinished.target.upper), True, lag_bytes)
            else:
                found = look_ahead(table, lower)
        is_unchanged = not found.has_changes and found.upper != lower
        return Probe(
            strategy=self._dialect.template,
            bytes=found.log_bytes if found.has_changes else 0,
            horizon=Horizon(value=found.upper.position, method="end of the log", note=f"the log ends at {table.end}"),
            facts={**facts, "lag_bytes": lag_bytes},
            live=found,
            log_end=table.end.number,
            log_upper=found.upper.number,
            unchanged_until={SEGMENT: found.upper.position} if is_unchanged else None,
        )

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        state = known.get(SEGMENT)
        if isinstance(probe.live, TableProbe):
            assert probe.live.cursor is not None
            return first_load_scopes(probe.live, probe.live.cursor, state)
        assert state is not None
        log: LogProbe = probe.live
        return log_scopes(state, log.lower.position, log.upper.position, has_changes=log.has_changes)

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        """One slice of the log: the changes of a table are applied in its order, one commit after the other."""
        if isinstance(probe.live, TableProbe):
            begun: JsonValue = list(scope.horizon or ())
            for piece in cut_gap(probe.live.with_learned(spec), scope, gap):
                yield piece.model_copy(update={"hints": {**piece.hints, "begun": begun}})
            return
        log: LogProbe = probe.live
        yield Piece(interval=gap, estimated_bytes=log.log_bytes)

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
        if piece.axis.kind == "log":
            yield from read_log(self._dialect, spec, piece, context)
            return
        positioned = PositionedDialect(self._dialect, piece)
        if not has_changes(context.schema):
            yield from read(positioned.dialect, spec, piece, context)
            return
        plain = replace(context, schema=table_columns(context.schema))
        for batch in read(positioned.dialect, spec, piece, plain):
            yield as_loaded(batch, context.schema, positioned.number)


def begun_at(state: SegmentState | None, spec: UnitSpec) -> LogPosition | None:
    """See `begun_position`."""
    return begun_position(state, spec, LogPosition.parse)


def oldest_unread_s(session: Session, table: LogTable, begun: LogPosition) -> float:
    """How long ago the oldest transaction was committed that is not read yet; 0 where there is none."""
    first_s = first_behind_s(table, begun)
    if first_s is None:
        return 0.0
    now_s = float(session.rows("SELECT unix_timestamp(sysdate(6))")[0][0])
    return max(0.0, round(now_s - first_s, 1))


def log_facts(server: LogServer, files: Sequence[LogFile]) -> dict[str, JsonValue]:
    """What the log keeps, for `plan`."""
    names = (
        "named in the log"
        if server.has_names
        else "not named in the log (binlog_row_metadata): an ALTER TABLE needs a load"
    )
    kept_s = server.retention_s
    return {
        "log": f"{files[0].name} to {files[-1].name}" if files else "",
        "retained_bytes": sum(file.size_bytes for file in files),
        "retention": f"{kept_s} s" if kept_s else "until it is purged by hand",
        "columns": names,
    }
