"""Simulated staging: each attempt stages pages under a URI of its own; pages may be lost, or not be writable."""

import itertools
from dataclasses import dataclass, field

from ingest_ray.sdk.errors import StagingLost, StagingUnavailable
from ingest_ray.sdk.types import Handle, Slice
from tests.simulation.fault_injection import FaultInjector
from tests.simulation.scheduler import Scheduler

Rows = list[tuple[int, int]]
MODEL = "model"


@dataclass
class SimulatedStaging:
    scheduler: Scheduler
    faults: FaultInjector
    staged: dict[str, Rows] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def write(self, run_id: str, piece: Slice, attempt: int, rows: Rows) -> Handle:
        self.scheduler.pause()
        if self.faults.occurs("staging: not writable"):
            raise StagingUnavailable("no space left")
        uri = f"{run_id}/{next(self._numbers)}"
        self.staged[uri] = rows
        return Handle(
            provider="simulated",
            uri=uri,
            run_id=run_id,
            slice_id=piece.slice_id,
            attempt=attempt,
            rows=len(rows),
            bytes=len(rows),
            schema_fingerprint="-",
            row_hash=row_hash(rows),
        )

    def read(self, handle: Handle) -> Rows:
        self.scheduler.pause()
        if self.faults.occurs("staging: pages lost"):
            self.staged.pop(handle.uri, None)
        if handle.uri not in self.staged:
            raise StagingLost(f"{handle.uri} is not there")
        return self.staged[handle.uri]

    def drop(self, handle: Handle) -> None:
        self.staged.pop(handle.uri, None)

    def sweep(self, run_id: str) -> None:
        for uri in [uri for uri in self.staged if uri.startswith(f"{run_id}/")]:
            del self.staged[uri]


def row_hash(rows: Rows) -> str:
    return str(sum(hash(row) for row in rows) % 2**64)
