"""The request rates that apply to this process: of its own throttles, and of the cluster's where it is connected to one."""

import sys
from collections.abc import Sequence
from importlib import import_module

from ingest_ray.http.aimd import State
from ingest_ray.http.permits import current

CLUSTER = "ingest_ray.executors.ray.throttle"


def throttles() -> Sequence[State]:
    own = list(current().states())
    if CLUSTER not in sys.modules:  # no run of this process has used the cluster's throttles
        return own
    found: list[State] = import_module(CLUSTER).throttle_states()
    return [*own, *found]
