"""The scopes to read now, given what is committed. Pure: the probe has already queried the source."""

from collections.abc import Sequence

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Axis, Effect, Interval, Scope, SegmentState
from ingest_strategies.jdbc.planning.probe import SEGMENT, CursorProbe, TableProbe, exact_count


def plan_scopes(probe: TableProbe, state: SegmentState | None) -> list[Scope]:
    if probe.cursor is None:
        return load_scopes(probe, None, state)
    if state is None or not state.is_loaded:
        return first_load_scopes(probe, probe.cursor, state)
    return incremental_scopes(probe, probe.cursor, state)


def load_scopes(probe: TableProbe, cursor: CursorProbe | None, state: SegmentState | None) -> list[Scope]:
    """The whole table along its load axis, and one more scope for the rows with a NULL on it."""
    view, axis = probe.view, probe.axis
    keys = view.axis(axis)
    is_resumable = cursor is not None and (axis.kind == "key" or (axis.kind == "tid" and not view.is_append))
    is_own_key = axis.kind == "key" and view.is_unique(axis) and set(axis.columns) == set(view.spec.key)
    # A heap that was rewritten (VACUUM FULL, CLUSTER) has other addresses: its load is another scope.
    name = {"key": "load", "tid": f"load-t{probe.size.file_node or 0}", "whole": "load-whole"}[axis.kind]
    scope = Scope(
        scope_id=name,
        segment=SEGMENT,
        axis=axis,
        effect=Effect.LOAD,
        horizon=cursor.horizon.value if cursor else None,
        clock=cursor.horizon.clock if cursor else None,
        is_resumable=is_resumable,
        is_insert_only=is_own_key or (axis.kind == "tid" and probe.is_key_unique and not _has_begun(state, name)),
        estimated_rows=probe.size.rows,
    )
    if not keys.nullable:
        return [scope]
    nulls = {"scope_id": f"{name}-nulls", "nulls": True, "is_insert_only": False, "estimated_rows": None}
    return [scope, scope.model_copy(update=nulls)]


def _has_begun(state: SegmentState | None, scope_id: str) -> bool:
    return state is not None and any(scope.scope_id == scope_id and scope.done for scope in state.scopes)


def first_load_scopes(probe: TableProbe, cursor: CursorProbe, state: SegmentState | None) -> list[Scope]:
    """A load that has begun continues under its first horizon; a load along another axis begins anew."""
    fresh = load_scopes(probe, cursor, state)
    known = {scope.scope_id: scope for scope in (state.scopes if state else ()) if scope.effect is Effect.LOAD}
    same = [known.get(scope.scope_id) for scope in fresh]
    if all(old is not None and old.axis == scope.axis for old, scope in zip(same, fresh, strict=True)):
        return [
            scope.model_copy(
                update={"horizon": old.horizon, "clock": old.clock, "target": old.target, "done": old.done}
            )
            if old is not None and scope.is_resumable
            else scope
            for old, scope in zip(same, fresh, strict=True)
        ]
    if any(old is not None for old in same):
        suffix = f"-{(state.sequence if state else 0) + 1}"
        return [scope.model_copy(update={"scope_id": scope.scope_id + suffix}) for scope in fresh]
    return fresh


def incremental_scopes(probe: TableProbe, cursor: CursorProbe, state: SegmentState) -> list[Scope]:
    """Unfinished advances, the next one, the repeats below, and the rows above the horizon."""
    axis = Axis(kind="cursor", columns=tuple(column.name for column in probe.view.cursor.columns))
    unfinished = [scope for scope in state.scopes if scope.effect in (Effect.ADVANCE, Effect.REPEAT)]
    for scope in unfinished:
        if scope.axis != axis:
            raise ConfigError(
                f"{probe.view.spec.unit_id}: the checkpoint is of cursor '{', '.join(scope.axis.columns)}'",
                hint="reset the unit to follow another cursor",
            )
    taken = {scope.scope_id for scope in unfinished}
    advances = [scope for scope in unfinished if scope.effect is Effect.ADVANCE]
    repeats = [scope for scope in unfinished if scope.effect is Effect.REPEAT]
    fresh = Scope(scope_id="", segment=SEGMENT, axis=axis, effect=Effect.ADVANCE, clock=cursor.horizon.clock)
    if cursor.new_rows:
        update = {
            "scope_id": unused_id("since", state.sequence + 1, taken),
            "target": Interval(lower=cursor.next_lower, upper=cursor.horizon.value),
            "horizon": cursor.horizon.value,
            "estimated_rows": exact_count(cursor.new_rows),
        }
        advances.append(fresh.model_copy(update=update))
    if probe.view.is_append:
        return advances
    if cursor.window is not None and cursor.window_rows:
        # An unfinished repeat of the same window would leave out its finished part: the new one reads the whole window.
        repeats = [scope for scope in repeats if scope.target != cursor.window]
        update = {
            "scope_id": unused_id("repeat", state.sequence + 1, taken),
            "target": cursor.window,
            "effect": Effect.REPEAT,
            "estimated_rows": exact_count(cursor.window_rows),
        }
        repeats.append(fresh.model_copy(update=update))
    return [*advances, *repeats, *scopes_above_horizon(probe, cursor, axis)]


def scopes_above_horizon(probe: TableProbe, cursor: CursorProbe, axis: Axis) -> Sequence[Scope]:
    """Rows that every run reads again, because no run can be the last that has to: only for a sink with a key."""
    base = Scope(scope_id="ahead", segment=SEGMENT, axis=axis, effect=Effect.AHEAD)
    scopes = []
    if cursor.rows_above_horizon:
        target = Interval(lower=cursor.horizon.value)
        scopes.append(
            base.model_copy(update={"target": target, "estimated_rows": exact_count(cursor.rows_above_horizon)})
        )
    if cursor.null_rows and probe.view.spec.policy.cursor_nulls == "include":
        rows = exact_count(cursor.null_rows)
        scopes.append(base.model_copy(update={"scope_id": "nulls", "nulls": True, "estimated_rows": rows}))
    return scopes


def unused_id(prefix: str, number: int, taken: set[str]) -> str:
    while f"{prefix}-{number}" in taken:
        number += 1
    return f"{prefix}-{number}"
