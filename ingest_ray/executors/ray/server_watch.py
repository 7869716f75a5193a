"""Detects that a server of Ray which this process depends on is gone, before Ray ends the process.

Ray ends a driver whose GCS does not respond without a message after 60 s (`gcs_rpc_server_reconnect_timeout_s`), and tasks on a
node whose raylet is gone wait for ever. A refused connection to their ports is the earliest sign of both.
"""

import socket
import time
from collections.abc import Sequence

import ray

from ingest_ray.sdk.errors import ClusterUnavailable

CHECK_S = 1.0
JOINED_S = 40.0  # how long a restart of the head under the same address is waited for
CONNECT_S = 1.0

Address = tuple[str, int]


class ServerWatch:
    """`tolerance_s`: how long a server may be unreachable; 0 for a local one, which does not return. A loss is final."""

    def __init__(self, addresses: Sequence[Address], tolerance_s: float) -> None:
        self._addresses = tuple(addresses)
        self._tolerance_s = tolerance_s
        self._checked_at = self._seen_at = time.monotonic()
        self._is_lost = False

    @classmethod
    def of_this_process(cls, tolerance_s: float) -> "ServerWatch":
        return cls([*_gcs(), *_raylet()], tolerance_s)

    def is_lost(self, *, at_once: bool = False) -> bool:
        """`at_once`: checks again even if the last check was less than `CHECK_S` ago."""
        now = time.monotonic()
        if self._is_lost or (now - self._checked_at < CHECK_S and not at_once):
            return self._is_lost
        self._checked_at = now
        if not any(self._is_away(address) for address in self._addresses):
            self._seen_at = now
        else:
            self._is_lost = now - self._seen_at >= self._tolerance_s
        return self._is_lost

    def _is_away(self, address: Address) -> bool:
        """With zero tolerance only a refused connection counts: a busy machine may time out."""
        try:
            with socket.create_connection(address, CONNECT_S):
                return False
        except ConnectionRefusedError:
            return True
        except OSError:
            return self._tolerance_s > 0

    def check(self) -> None:
        """Raises `ClusterUnavailable` after a server was lost."""
        if self.is_lost():
            raise ClusterUnavailable("a server of ray is gone: its GCS or the raylet of this node does not answer")


def _gcs() -> list[Address]:
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    return [(host.strip("[]"), int(port))]


def _raylet() -> list[Address]:
    mine = ray.get_runtime_context().get_node_id()
    return [
        (node["NodeManagerAddress"], int(node["NodeManagerPort"]))
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["NodeID"] == mine
    ]
