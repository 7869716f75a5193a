"""The state of a unit and sink between runs: checkpoint, lease, intent. One scheme for every planner."""

from ingest_ray.state.documents import UnitState
from ingest_ray.state.log_readers import read_log_readers
from ingest_ray.state.unit_state import read_states, reset_state

__all__ = ["UnitState", "read_log_readers", "read_states", "reset_state"]
