"""The limits of one run's ledger, derived from settings, policy and planned scopes."""

from collections.abc import Sequence

from ingest_ray.core.limits import Limits
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.run.staging_area import keeps_staged
from ingest_ray.sdk.types import Effect, Scope, WriteMode


def limits_of(
    order: RunOrder, scopes: Sequence[Scope], readers: int, preparers: int, mappers: int, *, adopts_files: bool = False
) -> Limits:
    policy = order.spec.policy
    if policy.max_parallel is not None:
        readers = min(readers, policy.max_parallel)
    if policy.max_connections is not None:
        readers = min(readers, policy.max_connections - 1)  # the planner holds one, with the snapshot
    return Limits(
        readers=readers,
        preparers=preparers,
        mappers=mappers if order.spec.is_cdm else 0,
        keeps_staged=keeps_staged(order),
        budget_bytes=order.settings.staged_budget_bytes,
        slice_bytes=policy.target_slice_bytes,
        attempts=policy.max_attempts,
        quarantined_rows=policy.max_quarantined_rows,
        quarantined_fraction=policy.max_quarantine_fraction,
        landing_effects=_landing_effects(order),
        is_whole=is_whole(order, scopes),
        adopts_files=adopts_files,
    )


def _landing_effects(order: RunOrder) -> frozenset[Effect]:
    if order.task == "replay":  # all of these rows are in quarantine already
        return frozenset()
    return frozenset({Effect.LOAD, Effect.ADVANCE} if order.task == "ingest" else Effect)


def is_whole(order: RunOrder, scopes: Sequence[Scope]) -> bool:
    """True where all slices are committed together: a replacement, and an append that cannot resume without doubling rows."""
    write = order.spec.write_mode
    restarts = any(scope.effect is Effect.LOAD and not scope.is_resumable for scope in scopes)
    return write is WriteMode.REPLACE or (restarts and write is WriteMode.APPEND)
