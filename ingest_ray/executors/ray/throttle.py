"""One throttle per host and endpoint class for the whole cluster, and the permits that processes lease from it in batches.

    reader, planner --grant(n)--> throttle:<host>:<class>      waits in seconds: processes share no clock
                    --report(permit, signal)-->                no reply

A throttle is a named, detached actor of the connection's namespace: it outlives runs and readers.
`end_throttles` ends it with the connection; without that it ends itself after being idle. A throttle that dies is replaced by
the next process that requests permits; it learns the rate again, and permits that were granted stay valid: they are spaced.
"""

import logging
import secrets
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from threading import Condition, Lock, Thread
from typing import Any
from urllib.parse import quote

import ray
from ray.util.metrics import Gauge

from ingest_ray.http.aimd import Aimd, Grant, State
from ingest_ray.http.permits import Lease, bearable
from ingest_ray.http.rate_limit_headers import Signal
from ingest_ray.sdk.errors import SourceUnavailable

log = logging.getLogger(__name__)

PREFIX = "throttle:"
MOST_BATCH = 16  # permits per lease: at 50 requests per second, a third of a second ahead
STALE_S = 2.0  # an unused permit is returned: used late, it would exceed the rate
IDLE_S = 1800.0
TRIES = 10
TAGS = ("host", "endpoint_class")


@ray.remote(num_cpus=0, max_restarts=0, max_task_retries=0)
class ThrottleActor:
    """`life` identifies the actor instance: permit numbers of one instance are invalid for another of the same name."""

    def __init__(self, host: str, endpoint_class: str) -> None:
        self._host, self._endpoint_class = host, endpoint_class
        self._aimd = Aimd()
        self._life = secrets.token_hex(8)
        self._used_at = time.monotonic()
        self._rate = Gauge("ingest_throttle_rate", "Requests per second that are allowed now.", TAGS)
        self._concurrency = Gauge("ingest_throttle_concurrency", "Requests at once that are allowed now.", TAGS)
        self._refusals = Gauge("ingest_throttle_refusals", "Requests that were refused so far.", TAGS)
        Thread(target=self._end_when_idle, daemon=True).start()

    def grant(self, wanted: int) -> tuple[str, Grant]:
        self._used_at = time.monotonic()
        return self._life, self._aimd.grant(wanted, self._used_at)

    def report(self, life: str, permit: int, signal: Signal) -> None:
        if life != self._life:
            permit = -1  # the signal counts all the same
        self._aimd.report(permit, signal, time.monotonic())
        if signal.is_refused or permit % 32 == 0:
            self._tell()

    def release(self, life: str, permits: Sequence[int]) -> None:
        if life == self._life:
            for permit in permits:
                self._aimd.release(permit)

    def state(self) -> State:
        return self._aimd.state(self._host, self._endpoint_class, time.monotonic())

    def _tell(self) -> None:
        tags = {"host": self._host, "endpoint_class": self._endpoint_class}
        self._rate.set(self._aimd.rate, tags)
        self._concurrency.set(self._aimd.concurrency, tags)
        self._refusals.set(self._aimd.refusals, tags)

    def _end_when_idle(self) -> None:
        while time.monotonic() - self._used_at < IDLE_S:
            time.sleep(30)
        ray.kill(ray.get_runtime_context().current_actor)


def throttle(host: str, endpoint_class: str) -> Any:
    """The throttle of this name in the connection's namespace; started if missing."""
    name = f"{PREFIX}{quote(host, safe='')}:{quote(endpoint_class, safe='')}"
    actor: Any = ThrottleActor
    return actor.options(name=name, get_if_exists=True, lifetime="detached").remote(host, endpoint_class)


def named_throttles() -> list[Any]:
    names = ray.util.list_named_actors()
    found = []
    for name in names:
        if isinstance(name, str) and name.startswith(PREFIX):
            try:
                found.append(ray.get_actor(name))
            except ValueError:  # it has ended since
                continue
    return found


def throttle_states() -> list[State]:
    """The states of all throttles of the connection, for status and metrics; empty without a connection."""
    found: list[State] = []
    if not ray.is_initialized():  # listing actors would start a cluster
        return found
    for actor in named_throttles():
        try:
            found.append(ray.get(actor.state.remote(), timeout=10))
        except (ray.exceptions.RayError, TimeoutError) as error:
            log.warning("a throttle does not tell its state: %s", type(error).__name__)
    return found


def end_throttles() -> None:
    for actor in named_throttles():
        ray.kill(actor)


@dataclass(frozen=True)
class Slot:
    life: str
    permit: int
    due_at: float


@dataclass
class PermitQueue:
    """The permits of one host and endpoint class in this process. One waiting thread leases for all."""

    host: str
    endpoint_class: str
    actor: Any = None
    slots: deque[Slot] = field(default_factory=deque)
    changed: Condition = field(default_factory=Condition)
    waiting: int = 0
    is_leasing: bool = False

    def take(self) -> Slot:
        with self.changed:
            self.waiting += 1
            try:
                while True:
                    self._give_back_stale()
                    if self.slots:
                        return self.slots.popleft()
                    if self.is_leasing:
                        self.changed.wait()
                    else:
                        self._lease()
            finally:
                self.waiting -= 1

    def _lease(self) -> None:
        """Called with the lock held; releases it while it calls the actor or waits."""
        self.is_leasing = True
        wanted = min(self.waiting, MOST_BATCH)
        self.changed.release()
        try:
            life, grant = self._granted(wanted)
            if not grant.waits_s:
                time.sleep(bearable(self.host, grant))
            now = time.monotonic()
        finally:
            self.changed.acquire()
            self.is_leasing = False
            self.changed.notify_all()
        for index, wait_s in enumerate(grant.waits_s):
            self.slots.append(Slot(life, grant.first + index, now + wait_s))

    def _granted(self, wanted: int) -> tuple[str, Grant]:
        for attempt in range(TRIES):
            try:
                if self.actor is None:
                    self.actor = throttle(self.host, self.endpoint_class)
                answer: tuple[str, Grant] = ray.get(self.actor.grant.remote(wanted), timeout=60)
            except (ray.exceptions.RayError, TimeoutError, ValueError) as error:
                log.warning("the throttle of '%s' is gone (%s): asking for a new one", self.host, type(error).__name__)
                self.actor = None
                time.sleep(0.1 * 2 ** min(attempt, 5))
            else:
                return answer
        raise SourceUnavailable(f"no throttle for '{self.host}' after {TRIES} tries", retry_after_s=5.0)

    def _give_back_stale(self) -> None:
        now = time.monotonic()
        while self.slots and self.slots[0].due_at < now - STALE_S:
            slot = self.slots.popleft()
            if self.actor is not None:
                self.actor.release.remote(slot.life, [slot.permit])


class ClusterPermits:
    """The permits of this process, leased from the cluster's throttles."""

    def __init__(self) -> None:
        self._desks: dict[tuple[str, str], PermitQueue] = {}
        self._lock = Lock()

    def _unit_writer(self, host: str, endpoint_class: str) -> PermitQueue:
        with self._lock:
            return self._desks.setdefault((host, endpoint_class), PermitQueue(host, endpoint_class))

    def acquire(self, host: str, endpoint_class: str) -> Lease:
        slot = self._unit_writer(host, endpoint_class).take()
        time.sleep(max(0.0, slot.due_at - time.monotonic()))
        return Lease(host, endpoint_class, slot.permit, slot.life)

    def report(self, lease: Lease, signal: Signal) -> None:
        actor = self._unit_writer(lease.host, lease.endpoint_class).actor
        if actor is not None:
            actor.report.remote(lease.throttle, lease.permit, signal)

    def states(self) -> Sequence[State]:
        return throttle_states()


@cache
def cluster_permits() -> ClusterPermits:
    """One set per process."""
    return ClusterPermits()
