"""Deliberate bugs in the code for changes from a log: the histories of the world of logs must detect each of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.run import change_log as run_change_log
from ingest_ray.sdk.types import Interval, SegmentState, Slice, UnitSpec
from ingest_ray.state.writer import StateWriter
from ingest_strategies.jdbc.changes.change import Change
from ingest_strategies.jdbc.changes.change_rows import RowWriter
from ingest_strategies.jdbc.changes.net_changes import NetChanges
from ingest_strategies.jdbc.postgres.changes import (
    change_log,
    log_parts,
    log_reader,
    published_table,
    shared_slot,
    slot,
    unit_slot,
)
from ingest_strategies.jdbc.postgres.changes.change_log import PostgresLog
from ingest_strategies.jdbc.postgres.changes.log_parts import LogPart
from ingest_strategies.jdbc.postgres.changes.lsn import number_of, position_of

Patch = Callable[[pytest.MonkeyPatch], None]


def changes_folded_before_their_commit(patch: pytest.MonkeyPatch) -> None:
    intend = StateWriter.record_intent

    def eager(self: StateWriter, *args: Any, **options: Any) -> int:
        number = intend(self, *args, **options)
        assert self._intent is not None
        self._fold(self._intent)
        return number

    patch.setattr(StateWriter, "record_intent", eager)


def slot_moved_to_the_end_of_the_log(patch: pytest.MonkeyPatch) -> None:
    move = slot.advance_slot
    for module in (change_log, shared_slot):
        patch.setattr(module, "advance_slot", lambda session, found, to: move(session, found, found.end))


def slot_moved_to_the_horizon_of_the_round(patch: pytest.MonkeyPatch) -> None:
    """What is planned, and not what is durable."""
    open_log = PostgresLog.open_log

    def eager(self: PostgresLog, spec: UnitSpec, known: Mapping[str, SegmentState]) -> None:
        open_log(self, spec, known)
        ends = [scope.target.upper for state in known.values() for scope in state.scopes]
        with self._dialect.open(spec.endpoint) as session:
            found = unit_slot.find_unit_slot(session, spec).slot
            for end in ends:
                if end is not None and found is not None and "/" in str(end[0]):
                    slot.advance_slot(session, found, number_of(end))

    patch.setattr(PostgresLog, "open_log", eager)


def slot_moved_before_the_round_is_committed(patch: pytest.MonkeyPatch) -> None:
    read = log_reader.read_changes

    def consuming(session: Any, spec: UnitSpec, piece: Slice, *given: Any) -> Iterator[Change]:
        changes = list(read(session, spec, piece, *given))
        found = unit_slot.find_unit_slot(session, spec).slot
        assert found is not None
        assert piece.interval.upper is not None
        slot.advance_slot(session, found, number_of(piece.interval.upper))
        yield from changes

    patch.setattr(log_reader, "read_changes", consuming)


def changes_placed_by_their_own_position(patch: pytest.MonkeyPatch) -> None:
    """A change is where the log has it, and not where its commit is: transactions are split between commits."""
    decode = log_reader.decode_changes

    def spread(messages: Iterable[bytes]) -> Iterator[Change]:
        for change in decode(messages):
            yield change._replace(lsn=change.lsn + 9_000 * change.seq)

    patch.setattr(log_reader, "decode_changes", spread)


def unchanged_value_stored_as_null(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RowWriter, "_unchanged", lambda self, rows: pa.nulls(len(rows.ops), pa.string()))


def _bounds_moved(patch: pytest.MonkeyPatch, lower: int, upper: int) -> None:
    """Of the changes that are taken from a part, which is read as it should be."""
    read = log_reader.read_changes

    def moved(session: Any, spec: UnitSpec, piece: Slice, *found: Any) -> Iterator[Change]:
        low, high = log_reader.bounds_of(piece)
        interval = Interval(lower=position_of(max(low + lower, 0)), upper=position_of(high + upper))
        yield from read(session, spec, piece.model_copy(update={"interval": interval}), *found)

    patch.setattr(log_reader, "read_changes", moved)
    _read_without_a_look_at_the_slot(patch)


def _read_without_a_look_at_the_slot(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(log_reader, "find_unit_slot", lambda session, spec: SimpleNamespace(require=lambda begun: None))


def _parts_said_to_be_whole(patch: pytest.MonkeyPatch) -> None:
    read = unit_slot.read_part

    def whole(*given: Any) -> Any:
        part = read(*given)
        part.lower = 0
        return part

    patch.setattr(unit_slot, "read_part", whole)


def interval_without_its_lower_bound(patch: pytest.MonkeyPatch) -> None:
    _bounds_moved(patch, 1, 0)


def interval_with_its_upper_bound(patch: pytest.MonkeyPatch) -> None:
    _bounds_moved(patch, 0, 1)


def interval_from_the_slot_on(patch: pytest.MonkeyPatch) -> None:
    """What a slot gives again after a restart is applied again."""
    _bounds_moved(patch, -(2**33), 0)


def log_that_is_gone_not_noticed(patch: pytest.MonkeyPatch) -> None:
    def careless(found: Any, name: str, begun: int) -> Any:
        if found is None or found.is_lost:
            return slot.require_slot(found, name, begun)
        return found

    for module in (change_log, unit_slot):
        patch.setattr(module, "require_slot", careless)
    _parts_said_to_be_whole(patch)


def log_that_goes_while_it_is_read_not_noticed(patch: pytest.MonkeyPatch) -> None:
    _read_without_a_look_at_the_slot(patch)
    _parts_said_to_be_whole(patch)


def lost_slot_made_again(patch: pytest.MonkeyPatch) -> None:
    open_log = PostgresLog.open_log

    def hopeful(self: PostgresLog, spec: UnitSpec, known: Mapping[str, SegmentState]) -> None:
        name = slot.slot_name(spec)
        with self._dialect.open(spec.endpoint) as session:
            found = slot.read_slot(session, name)
            if found is None and known:
                slot.create_slot(session, name)
        open_log(self, spec, known)

    patch.setattr(PostgresLog, "open_log", hopeful)
    log_that_is_gone_not_noticed(patch)


def snapshot_before_commits_are_visible(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(slot, "wait_until_visible", lambda session, xids=None: None)


def rows_looked_up_before_commits_are_visible(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(log_reader, "wait_until_visible", lambda session, xids=None: None)


def load_that_ends_at_the_end_of_the_log(patch: pytest.MonkeyPatch) -> None:
    """Changes are read from the end of the load on, and not from the position of its slot."""
    begun_at = change_log.begun_at

    def late(state: SegmentState | None, spec: UnitSpec) -> int | None:
        found = begun_at(state, spec)
        is_loaded = state is not None and state.is_loaded and not state.scopes
        return found + 600 if found is not None and is_loaded else found

    patch.setattr(change_log, "begun_at", late)


def old_key_stays(patch: pytest.MonkeyPatch) -> None:
    delete = NetChanges._delete

    def kept(self: NetChanges, change: Change, key: Any) -> None:
        if change.op == "delete":
            delete(self, change, key)

    patch.setattr(NetChanges, "_delete", kept)


def truncation_forgotten(patch: pytest.MonkeyPatch) -> None:
    apply = NetChanges.apply
    patch.setattr(NetChanges, "apply", lambda self, change: None if change.op == "truncate" else apply(self, change))


def values_of_a_moved_row_not_looked_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(log_reader, "unmoved", lambda rows, moved: rows)


def part_of_the_log_taken_for_empty(patch: pytest.MonkeyPatch) -> None:
    """The first change of a part is not looked at."""
    has_changes = LogPart.has_changes
    patch.setattr(LogPart, "has_changes", lambda self, oid, lower: has_changes(self, oid, lower + 40_000))


def log_moved_on_without_a_look_at_the_state(patch: pytest.MonkeyPatch) -> None:
    """After a round the slot is moved to where the log ends, as if the round had read all of it."""
    advance = run_change_log.advance_log

    def to_end(context: Any, result: Any) -> Any:
        log = run_change_log._log_of(context)
        if context.reporter.plan_summary is not None:
            with log._dialect.open(context.order.spec.endpoint) as session:  # type: ignore[attr-defined]
                found = unit_slot.find_unit_slot(session, context.order.spec).slot
                if found is not None and not found.is_lost:
                    slot.advance_slot(session, found, found.end)
        return advance(context, result)

    patch.setattr(run_change_log, "advance_log", to_end)


def shared_slot_moved_to_the_checkpoint_of_one_unit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shared_slot, "_common_position", lambda session, spec, found, begun, readers, apart: begun)


def unit_that_joins_wherever_the_slot_is(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shared_slot, "_may_join", lambda session, spec, found, begun: True)


def shared_slot_without_a_lock(patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def free(session: Any, name: str) -> Iterator[None]:
        yield

    patch.setattr(shared_slot, "slot_lock", free)


def readers_looked_up_before_the_lock(patch: pytest.MonkeyPatch) -> None:
    advance, seen = change_log.advance_shared_slot, dict[int, set[str]]()

    def early(session: Any, spec: UnitSpec, begun: int, readers: Any) -> None:
        known, seen[id(session)] = readers(), slot.list_slot_names(session)
        advance(session, spec, begun, lambda: known)

    patch.setattr(change_log, "advance_shared_slot", early)
    patch.setattr(shared_slot, "list_slot_names", lambda session: set(seen[id(session)]))


def unit_that_lags_left_behind(patch: pytest.MonkeyPatch) -> None:
    """Without a slot of its own."""
    patch.setattr(shared_slot, "_set_apart", lambda session, found, name: True)


def part_of_another_interval_taken(patch: pytest.MonkeyPatch) -> None:
    find = unit_slot.find_part

    def any_part(found: Any, publication: str, fits: Any) -> Any:
        return find(found, publication, fits) or find(found, publication, lambda part: True)

    patch.setattr(unit_slot, "find_part", any_part)
    _parts_said_to_be_whole(patch)


def history_of_the_log_not_compared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(published_table, "require_history", lambda *given: None)


def scope_of_a_lost_history_goes_on(patch: pytest.MonkeyPatch) -> None:
    """What was planned on the old primary, up to where its log ended; of the new one it may be the future."""
    patch.setattr(change_log, "is_kept", lambda *given: True)
    patch.setattr(log_parts, "read_log_end", lambda session: 2**63)
    patch.setattr(log_reader, "require_planned", lambda *given: None)


def load_compared_by_its_position_only(patch: pytest.MonkeyPatch) -> None:
    """And not by what its snapshot has."""
    read = published_table.read_history

    def early(*given: Any) -> Any:
        found = read(*given)
        return found and found.model_copy(update={"seen": ("0/0",)})

    patch.setattr(published_table, "read_history", early)


LOG_MUTATIONS: Sequence[Patch] = (
    history_of_the_log_not_compared,
    scope_of_a_lost_history_goes_on,
    load_compared_by_its_position_only,
    shared_slot_moved_to_the_checkpoint_of_one_unit,
    unit_that_joins_wherever_the_slot_is,
    shared_slot_without_a_lock,
    readers_looked_up_before_the_lock,
    unit_that_lags_left_behind,
    part_of_another_interval_taken,
    changes_folded_before_their_commit,
    slot_moved_to_the_end_of_the_log,
    slot_moved_to_the_horizon_of_the_round,
    slot_moved_before_the_round_is_committed,
    changes_placed_by_their_own_position,
    unchanged_value_stored_as_null,
    interval_without_its_lower_bound,
    interval_with_its_upper_bound,
    interval_from_the_slot_on,
    log_that_is_gone_not_noticed,
    log_that_goes_while_it_is_read_not_noticed,
    lost_slot_made_again,
    snapshot_before_commits_are_visible,
    rows_looked_up_before_commits_are_visible,
    load_that_ends_at_the_end_of_the_log,
    old_key_stays,
    truncation_forgotten,
    values_of_a_moved_row_not_looked_up,
    part_of_the_log_taken_for_empty,
    log_moved_on_without_a_look_at_the_state,
)
