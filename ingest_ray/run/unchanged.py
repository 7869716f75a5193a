"""The quick check before a run takes its unit: an unchanged unit costs one request to the source and one to the sink, no lease
and no snapshot.

The check writes nothing, so it does not disturb a concurrent run. A run that has something to read takes the lease and reads
the state again under it.
"""

from ingest_ray.engine.readers.quarantine import strategy_of
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.planner import PlanSummary
from ingest_ray.engine.steps.unit_layout import opened_spec
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.kv import open_state
from ingest_ray.run.staging_area import staging_for
from ingest_ray.sdk.contracts import QuickCheck, find_capability
from ingest_ray.sdk.types import RunMode
from ingest_ray.secrets.locations import sink_location
from ingest_ray.state import UnitState, read_states
from ingest_ray.state.lease import is_live


def summarize_unchanged(order: RunOrder, unit_key: str) -> PlanSummary | None:
    """An empty plan where the unit is certainly unchanged; None where only a probe can decide.

    Raises:
        StateUnreadable: as the run itself would.
    """
    if order.task != "ingest" or order.spec.config.run_mode is not RunMode.INCREMENTAL:
        return None
    state = read_states(open_state(order.settings), unit_key)
    quick_check = find_capability(strategy_of(order), QuickCheck)
    if quick_check is None or not _is_settled(order, state):
        return None
    if not quick_check.is_unchanged(opened_spec(order), state.segments) or not _has_sink(order, state):
        return None
    strategy = order.spec.endpoint.template
    return PlanSummary(strategy=strategy, facts={"unchanged": "nothing is newer than what was read before"})


def _has_sink(order: RunOrder, state: UnitState) -> bool:
    """True where the sink has exactly the commits that the state has. One request; the run itself names the difference."""
    progress = writer_for(order, staging_for(order)).read_progress()
    if progress is None or not state.sequence:
        return True
    progress = progress.of_tables(state.tables)
    return progress.sequence == state.sequence and not progress.is_behind(state.last_claimed, state.committed_by)


def _is_settled(order: RunOrder, state: UnitState) -> bool:
    """No run is live, no intent is open, and the checkpoint belongs to the policy's cursor and the sink's location."""
    if (sink_location(order.sink, order.settings) or state.location) != state.location:
        return False
    if state.has_intent or not state.segments or state.cursor != order.spec.policy.cursor:
        return False
    return state.lease is None or not is_live(state.lease)
