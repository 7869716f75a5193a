"""The door to Ray: opened only by a run that needs it, because importing and starting Ray costs seconds."""

import logging
import os
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from threading import Thread
from typing import Any

from ingest_ray.core.messages import Fault
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.run.reporter import RunReporter
from ingest_ray.sdk.types import RunState
from ingest_ray.settings import RaySettings

log = logging.getLogger(__name__)


class ClusterLease:
    """Connects to Ray when the first run asks for it, and disconnects at the end: one cluster for all units of a launch."""

    def __init__(self) -> None:
        self._cluster: Any = None

    def __enter__(self) -> "ClusterLease":
        return self

    def __exit__(self, *_: object) -> None:
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None

    @property
    def is_attached(self) -> bool:
        return self._cluster is not None

    def connect(self, settings: RaySettings) -> Any:
        """A local cluster that lost one of its servers is started anew. Raises `ClusterUnavailable`."""
        if self._cluster is not None and self._cluster.is_local and self._cluster.server_watch.is_lost():
            log.warning("the local ray lost a server: another one is started")
            cluster, self._cluster = self._cluster, None
            cluster.close()
        if self._cluster is None:
            if settings.address == "local":
                authenticate_locally()
            opening = import_module(
                "ingest_ray.executors.ray.cluster"
            )  # Ray itself: before the thread, which needs it too
            Thread(target=load_beforehand, daemon=True).start()
            self._cluster = opening.Cluster(settings)
        return self._cluster


def authenticate_locally() -> None:
    """Ray's ports listen on all interfaces even on a local cluster: a random token keeps others out.

    Ray reads this when it is imported, so it is said before; a process that has Ray already, or says it itself, is left
    alone. https://docs.ray.io/en/latest/ray-security/token-auth.html
    """
    if "RAY_AUTH_MODE" not in os.environ and "ray" not in sys.modules:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def load_beforehand() -> None:
    """What the first run needs next: its own modules, and those that Ray looks for before it serializes anything."""
    for name in ("ingest_ray.run.ray_attempt", "pydantic.v1.fields", "starlette.datastructures"):
        with suppress(ImportError):  # whoever needs it tells; Ray does without the last two
            import_module(name)


def run_on_ray(
    order: RunOrder,
    key: str,
    cluster: ClusterLease,
    reporter: RunReporter,
    stopping: Callable[[], bool],
) -> tuple[RunState, Fault | None, bool]:
    """Runs a unit on Ray; the last item says that a process was lost which the run cannot do without."""
    connection = cluster.connect(order.settings.ray)
    result: tuple[RunState, Fault | None, bool] = import_module("ingest_ray.run.ray_attempt").run_unit_on_ray(
        order, key, connection, reporter, stopping
    )
    return result
