"""Notices that the servers of Ray which this process depends on are gone, before Ray ends the process for it.

A driver whose GCS does not answer is ended by Ray without a word after 60 s (`gcs_rpc_server_reconnect_timeout_s`), and
work on a node whose raylet is gone waits for ever. A port that nobody listens on any more is the earliest sign of both.
"""

import socket
import time
from collections.abc import Sequence

import ray

from ingest_ray.sdk.errors import ClusterUnavailable

CHECK_S = 1.0
JOINED_S = 40.0  # a head that is started again with the same address is waited for so long
CONNECT_S = 1.0

Place = tuple[str, int]


class ServerWatch:
    """`patience_s`: how long a server may be away. A local one does not come back. What is lost stays lost."""

    def __init__(self, places: Sequence[Place], patience_s: float) -> None:
        self._places = tuple(places)
        self._patience_s = patience_s
        self._checked_at = self._seen_at = time.monotonic()
        self._is_lost = False

    @classmethod
    def of_this_process(cls, patience_s: float) -> "ServerWatch":
        return cls([*_gcs(), *_raylet()], patience_s)

    def is_lost(self, *, at_once: bool = False) -> bool:
        """`at_once`: however short a time ago it was looked; for who is about to ask servers that may have gone just now."""
        now = time.monotonic()
        if self._is_lost or (now - self._checked_at < CHECK_S and not at_once):
            return self._is_lost
        self._checked_at = now
        if not any(self._is_away(place) for place in self._places):
            self._seen_at = now
        else:
            self._is_lost = now - self._seen_at >= self._patience_s
        return self._is_lost

    def _is_away(self, place: Place) -> bool:
        """Without patience only a refusal counts: a machine that is too busy to answer has its servers."""
        try:
            with socket.create_connection(place, CONNECT_S):
                return False
        except ConnectionRefusedError:
            return True
        except OSError:
            return self._patience_s > 0

    def check(self) -> None:
        """Raises `ClusterUnavailable` where the servers are gone."""
        if self.is_lost():
            raise ClusterUnavailable("a server of ray is gone: its GCS or the raylet of this node does not answer")


def _gcs() -> list[Place]:
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    return [(host.strip("[]"), int(port))]


def _raylet() -> list[Place]:
    mine = ray.get_runtime_context().get_node_id()
    return [
        (node["NodeManagerAddress"], int(node["NodeManagerPort"]))
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["NodeID"] == mine
    ]
