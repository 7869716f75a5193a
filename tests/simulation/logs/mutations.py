"""Deliberate bugs in the code for changes from a log: the histories of the world of logs must detect each of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from ingest_ray.run import change_log as run_change_log
from ingest_ray.sdk.types import Interval, SegmentState, Slice, UnitSpec
from ingest_ray.state.writer import StateWriter
from ingest_strategies.jdbc.changes.change import Change
from ingest_strategies.jdbc.changes.change_rows import RowWriter
from ingest_strategies.jdbc.changes.net_changes import NetChanges
from ingest_strategies.jdbc.postgres.changes import change_log, log_reader, slot
from ingest_strategies.jdbc.postgres.changes.change_log import PostgresLog
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
    patch.setattr(change_log, "advance_slot", lambda session, found, to: move(session, found, found.end))


def slot_moved_to_the_horizon_of_the_round(patch: pytest.MonkeyPatch) -> None:
    """What is planned, and not what is durable."""
    open_log = PostgresLog.open_log

    def eager(self: PostgresLog, spec: UnitSpec, known: Mapping[str, SegmentState]) -> None:
        open_log(self, spec, known)
        ends = [scope.target.upper for state in known.values() for scope in state.scopes]
        with self._dialect.open(spec.endpoint) as session:
            found = slot.read_slot(session, slot.slot_name(spec))
            for end in ends:
                if end is not None and found is not None and "/" in str(end[0]):
                    slot.advance_slot(session, found, number_of(end))

    patch.setattr(PostgresLog, "open_log", eager)


def slot_moved_before_the_round_is_committed(patch: pytest.MonkeyPatch) -> None:
    read = log_reader.read_changes

    def consuming(session: Any, spec: UnitSpec, piece: Slice, context: Any) -> Iterator[Change]:
        changes = list(read(session, spec, piece, context))
        found = slot.read_slot(session, slot.slot_name(spec))
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
    patch.setattr(RowWriter, "_unchanged", lambda self, row, *, is_append: None)


def _bounds_moved(patch: pytest.MonkeyPatch, lower: int, upper: int) -> None:
    read = log_reader.read_changes

    def moved(session: Any, spec: UnitSpec, piece: Slice, context: Any) -> Iterator[Change]:
        assert piece.interval.lower is not None
        assert piece.interval.upper is not None
        low, high = number_of(piece.interval.lower) + lower, number_of(piece.interval.upper) + upper
        interval = Interval(lower=position_of(max(low, 0)), upper=position_of(high))
        yield from read(session, spec, piece.model_copy(update={"interval": interval}), context)

    patch.setattr(log_reader, "read_changes", moved)
    patch.setattr(log_reader, "require_slot", lambda found, name, begun: found)


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

    for module in (change_log, log_reader):
        patch.setattr(module, "require_slot", careless)


def log_that_goes_while_it_is_read_not_noticed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(log_reader, "require_slot", lambda found, name, begun: found)


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
    rows = change_log.has_changes_below
    patch.setattr(
        change_log,
        "has_changes_below",
        lambda session, spec, upper, version: rows(session, spec, upper - 40_000, version),
    )


def log_moved_on_without_a_look_at_the_state(patch: pytest.MonkeyPatch) -> None:
    """After a round the slot is moved to where the log ends, as if the round had read all of it."""
    advance = run_change_log.advance_log

    def to_end(context: Any, result: Any) -> Any:
        log = run_change_log._log_of(context)
        if context.reporter.plan_summary is not None:
            with log._dialect.open(context.order.spec.endpoint) as session:  # type: ignore[attr-defined]
                found = slot.read_slot(session, slot.slot_name(context.order.spec))
                if found is not None and not found.is_lost:
                    slot.advance_slot(session, found, found.end)
        return advance(context, result)

    patch.setattr(run_change_log, "advance_log", to_end)


LOG_MUTATIONS: Sequence[Patch] = (
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
