"""What has to be read now, given what is committed. Pure: the probe has already asked the source everything."""

from collections.abc import Sequence

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Axis, Effect, Interval, Scope, SegmentState
from ingest_strategies.jdbc.planning.probe import SEGMENT, CursorLook, Look, estimate


def planned(look: Look, state: SegmentState | None) -> list[Scope]:
    if look.cursor is None:
        return load(look, None, state)
    if state is None or not state.is_loaded:
        return first_load(look, look.cursor, state)
    return since(look, look.cursor, state)


def load(look: Look, cursor: CursorLook | None, state: SegmentState | None) -> list[Scope]:
    """The whole table along its load axis, and one more scope for the rows that have no place on it."""
    view, axis = look.view, look.axis
    keys = view.axis(axis)
    is_resumable = cursor is not None and (axis.kind == "key" or (axis.kind == "tid" and not view.is_append))
    is_own_key = axis.kind == "key" and view.is_unique(axis) and set(axis.columns) == set(view.spec.key)
    # A heap that was rewritten (VACUUM FULL, CLUSTER) has other addresses: its load is another scope.
    name = {"key": "load", "tid": f"load-t{look.size.file_node or 0}", "whole": "load-whole"}[axis.kind]
    scope = Scope(
        scope_id=name,
        segment=SEGMENT,
        axis=axis,
        effect=Effect.LOAD,
        horizon=cursor.horizon.value if cursor else None,
        is_resumable=is_resumable,
        is_insert_only=is_own_key or (axis.kind == "tid" and look.is_key_unique and not _has_begun(state, name)),
        estimated_rows=look.size.rows,
    )
    if not keys.nullable:
        return [scope]
    nulls = {"scope_id": f"{name}-nulls", "nulls": True, "is_insert_only": False, "estimated_rows": None}
    return [scope, scope.model_copy(update=nulls)]


def _has_begun(state: SegmentState | None, scope_id: str) -> bool:
    return state is not None and any(scope.scope_id == scope_id and scope.done for scope in state.scopes)


def first_load(look: Look, cursor: CursorLook, state: SegmentState | None) -> list[Scope]:
    """A load that was begun goes on under its first horizon; one along another axis is begun anew."""
    fresh = load(look, cursor, state)
    known = {scope.scope_id: scope for scope in (state.scopes if state else ()) if scope.effect is Effect.LOAD}
    same = [known.get(scope.scope_id) for scope in fresh]
    if all(old is not None and old.axis == scope.axis for old, scope in zip(same, fresh, strict=True)):
        return [
            scope.model_copy(update={"horizon": old.horizon, "target": old.target, "done": old.done})
            if old is not None and scope.is_resumable
            else scope
            for old, scope in zip(same, fresh, strict=True)
        ]
    if any(old is not None for old in same):
        suffix = f"-{(state.sequence if state else 0) + 1}"
        return [scope.model_copy(update={"scope_id": scope.scope_id + suffix}) for scope in fresh]
    return fresh


def since(look: Look, cursor: CursorLook, state: SegmentState) -> list[Scope]:
    """Unfinished advances, the next one, what is owed below, and what lies above the horizon."""
    axis = Axis(kind="cursor", columns=tuple(column.name for column in look.view.cursor.columns))
    owed = [scope for scope in state.scopes if scope.effect in (Effect.ADVANCE, Effect.REPEAT)]
    for scope in owed:
        if scope.axis != axis:
            raise ConfigError(
                f"{look.view.spec.unit_id}: the checkpoint is of cursor '{', '.join(scope.axis.columns)}'",
                hint="reset the unit to follow another cursor",
            )
    taken = {scope.scope_id for scope in owed}
    advances = [scope for scope in owed if scope.effect is Effect.ADVANCE]
    repeats = [scope for scope in owed if scope.effect is Effect.REPEAT]
    fresh = Scope(scope_id="", segment=SEGMENT, axis=axis, effect=Effect.ADVANCE)
    if cursor.new_rows:
        update = {
            "scope_id": free_id("since", state.sequence + 1, taken),
            "target": Interval(lower=cursor.next_lower, upper=cursor.horizon.value),
            "horizon": cursor.horizon.value,
            "estimated_rows": estimate(cursor.new_rows),
        }
        advances.append(fresh.model_copy(update=update))
    if look.view.is_append:
        return advances
    if cursor.window is not None and cursor.window_rows:
        # One that is owed over the same window would leave out what it already did: the new one reads all of it.
        repeats = [scope for scope in repeats if scope.target != cursor.window]
        update = {
            "scope_id": free_id("repeat", state.sequence + 1, taken),
            "target": cursor.window,
            "effect": Effect.REPEAT,
            "estimated_rows": estimate(cursor.window_rows),
        }
        repeats.append(fresh.model_copy(update=update))
    return [*advances, *repeats, *above(look, cursor, axis)]


def above(look: Look, cursor: CursorLook, axis: Axis) -> Sequence[Scope]:
    """Rows that are read by every run, because no run can be the last one that has to: only for a sink with a key."""
    base = Scope(scope_id="ahead", segment=SEGMENT, axis=axis, effect=Effect.AHEAD)
    found = []
    if cursor.ahead_rows:
        target = Interval(lower=cursor.horizon.value)
        found.append(base.model_copy(update={"target": target, "estimated_rows": estimate(cursor.ahead_rows)}))
    if cursor.null_rows and look.view.spec.policy.cursor_nulls == "include":
        rows = estimate(cursor.null_rows)
        found.append(base.model_copy(update={"scope_id": "nulls", "nulls": True, "estimated_rows": rows}))
    return found


def free_id(word: str, number: int, taken: set[str]) -> str:
    while f"{word}-{number}" in taken:
        number += 1
    return f"{word}-{number}"
