"""Connects this process to Ray when the first run needs it, because importing and starting Ray costs seconds."""

import logging
import os
import secrets
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from importlib import import_module
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from ingest_ray.sdk.missing_packages import named_packages
from ingest_ray.settings import RaySettings

log = logging.getLogger(__name__)


T = TypeVar("T")


class ClusterLease:
    """One connection to Ray for all units of a launch: opened on first use, closed at the end.

    The thread that made it is the only one that uses Ray. Where units run in other threads, it performs what `in_turn` gets.
    """

    def __init__(self) -> None:
        self._cluster: Any = None
        self._owner = threading.get_ident()
        self._calls: SimpleQueue[Callable[[], None]] | None = None

    def take_turns(self, calls: "SimpleQueue[Callable[[], None]]") -> None:
        """From now on other threads put their calls into this queue; the owner has to take and make them."""
        self._calls = calls

    @property
    def is_owner(self) -> bool:
        """Whether this thread may use Ray. Others must hold neither a lease nor a snapshot while they wait for their turn."""
        return self._calls is None or threading.get_ident() == self._owner

    def in_turn(self, work: Callable[[], T]) -> T:
        """Returns what `work` returns, made by the owner: at once where that is this thread, else when its turn comes."""
        if self._calls is None or self.is_owner:
            return work()
        future: Future[T] = Future()
        context = copy_context()

        def perform() -> None:
            try:
                future.set_result(context.run(work))
            except BaseException as error:
                future.set_exception(error)
                if not isinstance(error, Exception):
                    raise

        self._calls.put(perform)
        return future.result()

    def __enter__(self) -> "ClusterLease":
        return self

    def __exit__(self, *_: object) -> None:
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None

    def connect(self, settings: RaySettings) -> Any:
        """Returns the connection, opening it if needed. A local cluster that lost a server is replaced. Raises `ClusterUnavailable`."""
        if self._cluster is not None and self._cluster.is_local and self._cluster.server_watch.is_lost():
            log.warning("the local ray lost a server: starting another one")
            cluster, self._cluster = self._cluster, None
            cluster.close()
        if self._cluster is None:
            if settings.address == "local":
                authenticate_locally()
            with named_packages("a run on Ray"):
                ray_cluster = import_module(
                    "ingest_ray.executors.ray.cluster"
                )  # imports Ray, which the thread needs, too
            Thread(target=preload_modules, daemon=True).start()
            self._cluster = ray_cluster.Cluster(settings)
        return self._cluster


def authenticate_locally() -> None:
    """Sets a random token for a local cluster, because Ray's ports listen on all interfaces even there.

    Ray reads the variables when it is imported. A process that has imported Ray already, or has set `RAY_AUTH_MODE`, keeps
    its setting. https://docs.ray.io/en/latest/ray-security/token-auth.html
    """
    if "RAY_AUTH_MODE" not in os.environ and "ray" not in sys.modules:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def preload_modules() -> None:
    """Imports, while Ray starts, what the first run needs next, and what Ray imports before it serializes anything."""
    for name in ("ingest_ray.run.ray_attempt", "pydantic.v1.fields", "starlette.datastructures"):
        with suppress(ImportError):  # the importer that needs one raises; Ray works without the last two
            import_module(name)
