"""Chooses the cursor of a unit from the candidates of its policy, and turns a unit without one into a full refresh where its
policy allows that.

The choice is written into the policy, so that planner, readers and state see one cursor and one run mode.
"""

from collections.abc import Sequence

from ingest_ray.sdk.contracts import Strategy
from ingest_ray.sdk.errors import ConfigError, GateError, ModeUnsupported
from ingest_ray.sdk.types import Policy, RunMode, Unit, UnitConfig, UnitSpec, WriteMode
from ingest_ray.secrets import masked


def with_chosen_cursor(spec: UnitSpec, strategy: Strategy, followed: str | None = None) -> UnitSpec:
    """The same unit with one cursor, or with none and run mode FULL. `followed`: the cursor that the checkpoint follows,
    which stays the choice while it is a candidate and the dataset has it.

    A policy that names one cursor and no fallback stays as it is: later checks refuse what does not fit.
    """
    policy = spec.policy
    if not policy.cursors and policy.fallback is None:
        return spec
    named = policy.cursors or ((policy.cursor,) if policy.cursor else ())
    if followed in named and spec.dataset.column(str(followed)) is not None:
        return _with_policy(spec, cursor=followed)
    chosen = next((name for name in named if _is_usable(spec, strategy, name)), None)
    is_incremental = spec.config.run_mode is RunMode.INCREMENTAL
    own = spec.dataset.facts.get("cursor")
    if chosen is not None or (is_incremental and isinstance(own, str)):
        return _with_policy(spec, cursor=chosen)
    if policy.fallback is None and is_incremental:
        raise _no_cursor(spec, named)
    return _as_full_refresh(spec) if is_incremental else _with_policy(spec, cursor=None)


def as_replaced(spec: UnitSpec, unit: Unit) -> UnitSpec:
    """The same unit, as a full refresh where it is always replaced. Raises `ModeUnsupported` for an upsert, which would keep what is gone."""
    if not unit.is_replaced:
        return spec
    if spec.config.run_mode is RunMode.INCREMENTAL:
        return _as_full_refresh(_with_policy(spec, cursor=None, write=WriteMode.REPLACE))
    if spec.policy.write not in (None, WriteMode.REPLACE):
        raise ModeUnsupported(
            f"unit '{spec.ref}' is replaced by each run: with write {spec.policy.write} rows would stay that no longer hold",
            hint="leave out policy.write, or write: replace",
        )
    return spec


def with_choice_of(config: UnitConfig, chosen: UnitConfig) -> UnitConfig:
    """`config` with the cursor and the run mode that were chosen for the unit before."""
    policy = config.policy
    is_refreshed = config.run_mode is RunMode.INCREMENTAL and chosen.run_mode is RunMode.FULL
    if not policy.cursors and policy.fallback is None and not is_refreshed:
        return config
    update: dict[str, object] = {"cursor": chosen.policy.cursor, "cursors": (), "fallback": None}
    if chosen.run_mode is not config.run_mode:
        update["write"] = chosen.policy.write
    return config.model_copy(update={"run_mode": chosen.run_mode, "policy": policy.model_copy(update=update)})


def choice_text(configured: UnitConfig, spec: UnitSpec) -> str | None:
    """What was chosen, for a person; None where there was nothing to choose."""
    policy = configured.policy
    if not policy.cursors and policy.fallback is None:
        is_refreshed = configured.run_mode is RunMode.INCREMENTAL and spec.config.run_mode is RunMode.FULL
        return f"{spec.config.run_mode}, because each run reads all of it" if is_refreshed else None
    if spec.policy.cursor is not None:
        return f"cursor {spec.policy.cursor}"
    named = ", ".join(policy.cursors) or policy.cursor or "a cursor"
    return f"{spec.config.run_mode}, because the dataset does not have {named}"


def _is_usable(spec: UnitSpec, strategy: Strategy, name: str) -> bool:
    """Whether the dataset has the column and the strategy accepts it as a cursor. Other faults of the policy are none of the
    column's: the checks after the choice name them."""
    if spec.dataset.column(name) is None:
        return False
    # The smallest policy in which only the cursor can be at fault.
    key, write = spec.key, WriteMode.UPSERT if spec.key else WriteMode.APPEND
    policy = Policy(cursor=name, primary_key=key, write=write, allow_lossy=True)
    config = spec.config.model_copy(update={"run_mode": RunMode.INCREMENTAL, "policy": policy})
    try:
        strategy.check(spec.model_copy(update={"config": config, "endpoint": masked(spec.endpoint)}))
    except GateError:
        return False
    except ConfigError:
        return True
    return True


def _as_full_refresh(spec: UnitSpec) -> UnitSpec:
    """A refresh replaces: appending the whole table with every run would double its rows. An explicit upsert by a key stays."""
    write = spec.policy.write
    keeps = write is WriteMode.UPSERT and bool(spec.key)
    full = _with_policy(spec, cursor=None, write=write if keeps else WriteMode.REPLACE)
    return full.model_copy(update={"config": full.config.model_copy(update={"run_mode": RunMode.FULL})})


def _with_policy(spec: UnitSpec, **update: object) -> UnitSpec:
    policy = spec.policy.model_copy(update={**update, "cursors": (), "fallback": None})
    return spec.model_copy(update={"config": spec.config.model_copy(update={"policy": policy})})


def _no_cursor(spec: UnitSpec, named: Sequence[str]) -> ConfigError:
    columns = ", ".join(column.name for column in spec.dataset.columns[:30])
    return ConfigError(
        f"unit '{spec.ref}': the dataset has none of the cursors of policy.cursor: {', '.join(named)}",
        hint=f"name another one, or policy.fallback: full; columns: {columns}",
    )
