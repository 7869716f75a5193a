"""Whether a unit has nothing to do, asked before it is taken: an unchanged unit costs one question, no lease and no snapshot.

Nothing is written on the answer, so what another run does meanwhile is not disturbed; a run that has something to do takes the
lease, and reads the state again under it.
"""

from ingest_ray.engine.readers.quarantine import strategy_of
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.planner import PlanSummary
from ingest_ray.engine.steps.unit_layout import opened_spec
from ingest_ray.kv import open_state
from ingest_ray.sdk.types import RunMode
from ingest_ray.state import UnitState, read_states
from ingest_ray.state.lease import is_live


def unchanged(order: RunOrder, key: str) -> PlanSummary | None:
    """What a probe would have found, without its figures; None where only a probe can tell.

    Raises:
        StateUnreadable: as the run itself would.
    """
    if order.task != "ingest" or order.spec.config.run_mode is not RunMode.INCREMENTAL:
        return None
    state = read_states(open_state(order.settings), key)
    if not _is_settled(order, state) or not strategy_of(order).is_unchanged(opened_spec(order), state.segments):
        return None
    strategy = order.spec.endpoint.template
    return PlanSummary(strategy=strategy, facts={"unchanged": "nothing is newer than what was read before"})


def _is_settled(order: RunOrder, state: UnitState) -> bool:
    """Nobody runs it, no commit is promised, and its checkpoint is of the policy's cursor."""
    if state.has_intent or not state.segments or state.cursor != order.spec.policy.cursor:
        return False
    return state.lease is None or not is_live(state.lease)
