"""The units of an endpoint that go on from a position of its log."""

from ingest_ray.kv.keys import unit_of, units_prefix
from ingest_ray.sdk.changes import LSN
from ingest_ray.sdk.contracts import KV, LogReader
from ingest_ray.state.unit_state import read_all_states


def read_log_readers(kv: KV, vendor: str, endpoint_id: str) -> list[LogReader]:
    """Those with a checkpoint of run mode CHANGES whose log was not dropped; configured, enabled or not.

    Raises:
        StateUnavailable, StateUnreadable: one of them cannot be read.
    """
    found = []
    for key, state in read_all_states(kv, units_prefix(vendor, endpoint_id)).items():
        names = unit_of(key)
        if names is not None and state.segments and state.cursor == LSN and not state.is_log_dropped:
            found.append(LogReader(unit_id=names[2], sink_id=names[3], known=state.segments))
    return found
