"""The connections of one endpoint, shared by all runs that declare a cap (`policy.max_connections`).

A share is held while its run is live: it is renewed like a lease, and expires when its process is gone.
"""

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

from ingest_ray.sdk.contracts import KV
from ingest_ray.sdk.errors import IngestError, RunActive, StateConflict
from ingest_ray.state.documents import ConnectionsDocument, HeldConnections, Owner, dumped, parsed
from ingest_ray.state.lease import RENEW_S, TTL_S, is_live

MIN_CONNECTIONS = 2  # one for the planner, which holds the snapshot, and one for a reader
MAX_CONFLICTS = 100  # of one write: with each conflict another run has succeeded


@dataclass
class ConnectionShare:
    """The connections of an endpoint that one run holds; `close` returns them."""

    kv: KV
    key: str
    run_id: str
    owner: Owner
    count: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._renew, name="connections", daemon=True)

    @classmethod
    def take(cls, kv: KV, key: str, run_id: str, owner: Owner, cap: int, wanted: int) -> "ConnectionShare":
        """Takes up to `wanted` of the connections that other live runs leave below `cap`.

        Raises:
            RunActive: fewer are left than a run needs.
        """
        share = cls(kv, key, run_id, owner)
        for _ in range(MAX_CONFLICTS):
            others, version = share._others()
            free = cap - sum(other.count for other in others)
            if free < MIN_CONNECTIONS:
                who = ", ".join(f"{other.count} by run {other.run_id}" for other in others)
                raise RunActive(
                    f"the endpoint's {cap} connections are taken: {who}",
                    hint="wait, raise policy.max_connections, or let the runs share with policy.max_parallel",
                )
            share.count = min(wanted, free)
            if share._put((*others, share._held()), version):
                share._thread.start()
                return share
        raise RunActive("the endpoint's connections are being taken by too many runs at once", hint="try again")

    def close(self) -> None:
        self._ended.set()
        self._thread.join(timeout=RENEW_S)
        with suppress(IngestError):  # an unreturned share expires
            self._change(is_held=False)

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_S):
            with suppress(IngestError):  # the store may become available again
                self._change(is_held=True)

    def _change(self, *, is_held: bool) -> None:
        for _ in range(MAX_CONFLICTS):
            others, version = self._others()
            if self._put((*others, self._held()) if is_held else others, version):
                return

    def _held(self) -> HeldConnections:
        return HeldConnections(
            epoch=0, run_id=self.run_id, owner=self.owner, expires_at=time.time() + TTL_S, count=self.count
        )

    def _others(self) -> tuple[tuple[HeldConnections, ...], int]:
        found = self.kv.get(self.key)
        if found is None:
            return (), 0
        held = parsed(ConnectionsDocument, self.key, found[0]).held
        return tuple(other for other in held if other.run_id != self.run_id and is_live(other)), found[1]

    def _put(self, held: tuple[HeldConnections, ...], version: int) -> bool:
        try:
            self.kv.put(self.key, dumped(ConnectionsDocument(held=held)), version)
            return True
        except StateConflict:
            return False
