"""Starts a local Ray or joins a cluster, and leaves it again. Never touches a cluster that it did not start."""

import logging
import os
import re
import secrets
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ray

from ingest_ray.core.messages import short
from ingest_ray.executors.ray.readers import ReaderPool
from ingest_ray.executors.ray.server_watch import JOINED_S, ServerWatch
from ingest_ray.executors.ray.throttle import end_throttles
from ingest_ray.process.exit_notice import guard_exit
from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.errors import ClusterUnavailable, ConfigError
from ingest_ray.settings import RaySettings

log = logging.getLogger(__name__)

PLAIN = re.compile(r"[\w.-]+")  # a label's value, and no operator


class Cluster:
    """A connection of this process to Ray. If the process is connected already, that connection is used and left open."""

    def __init__(self, settings: RaySettings) -> None:
        self._is_ours = not ray.is_initialized()
        self.is_local = settings.address == "local"
        self.reader_pool = ReaderPool()
        with guard_exit():  # until the server watch works, Ray ends this process when one of its servers dies
            if self._is_ours:
                self._connect(settings)
            self.server_watch = ServerWatch.of_this_process(0.0 if self.is_local else JOINED_S)

    def _connect(self, settings: RaySettings) -> None:
        reached("ray:before-connect")
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        namespace = f"ingest-{secrets.token_hex(8)}"  # unique to this connection: its throttles are found through it
        with _restored_signals():
            self._init_ray(settings, namespace)

    def _init_ray(self, settings: RaySettings, namespace: str) -> None:
        if settings.address == "local":
            _start(settings, namespace)
            return
        address = address_of(settings)
        try:
            ray.init(address=address, namespace=namespace, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError) as error:
            raise ConfigError(f"ray cluster '{address}' cannot be joined: {error}") from error

    def holds_control(self, settings: RaySettings) -> bool:
        """Whether the driver of a run holds its planner, state and sink: Ray has one machine, which is the driver's, and no label says
        where actors are to run."""
        nodes = _living_nodes()
        return len(nodes) == 1 and has_cpu(nodes[0]) and not settings.actor_labels

    def reader_nodes(self, settings: RaySettings) -> int:
        """How many nodes may have readers, as far as their CPUs, resources and plain labels tell."""
        return sum(has_cpu(node) and may_read(node, settings) for node in _living_nodes())

    @property
    def cpus(self) -> int:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return max(1, int(resources.get("CPU", 1)))

    def close(self) -> None:
        with guard_exit():
            is_lost = self.server_watch.is_lost(at_once=True)
            if not is_lost:  # without its servers no actor can be called
                self.reader_pool.close()
            if self._is_ours:
                if not is_lost:
                    end_throttles()
                ray.shutdown()


def _living_nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def has_cpu(node: Mapping[str, Any]) -> bool:
    return bool(node["Resources"].get("CPU", 0) >= 1)


def may_read(node: Mapping[str, Any], settings: RaySettings) -> bool:
    """Selectors that are no plain values, such as `in(a, b)` and `!a`, are left to Ray."""
    plain = {name: value for name, value in settings.reader_labels.items() if PLAIN.fullmatch(value)}
    return all((node.get("Labels") or {}).get(name) == value for name, value in plain.items()) and all(
        node["Resources"].get(name, 0) >= wanted for name, wanted in settings.reader_resources.items()
    )


def _start(settings: RaySettings, namespace: str) -> None:
    try:
        ray.init(
            address="local",
            namespace=namespace,
            num_cpus=settings.num_cpus,
            object_store_memory=settings.object_store_bytes,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # no memory, no port, a killed server: Ray raises many kinds
        raise ClusterUnavailable(
            f"a local ray does not start: {short(f'{type(error).__name__}: {error}')}",
            hint="run again; its servers log to /tmp/ray/session_latest/logs",
        ) from error


def address_of(settings: RaySettings) -> str:
    """Raises `ConfigError` where the settings do not name a cluster."""
    if settings.address == "auto":
        raise ConfigError(
            "ray.address 'auto' would join any cluster that runs here", hint="name the cluster, or say 'local'"
        )
    if settings.address != "job":
        return settings.address
    if "RAY_ADDRESS" not in os.environ:  # Ray sets it for the entrypoint of every job
        raise ConfigError(
            "ray.address is 'job', and this process is no Ray job", hint="name the cluster, or say 'local'"
        )
    return os.environ["RAY_ADDRESS"]


@contextmanager
def _restored_signals() -> Iterator[None]:
    """Restores this process's SIGTERM handler, which `ray.init` replaces with one that exits at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if callable(before):
            signal.signal(signal.SIGTERM, before)
