"""One throttle per site for all processes of a connection to Ray, and the permits that they lease from it in batches.

    reader, planner --grant(class, n)--> throttle:<site>       waits in seconds: processes share no clock
                    --report(class, permit, signal)-->         no reply
    throttle:<site> --synchronize--> KV                        its share of the installation's budget

A throttle is a named, detached actor of the connection's namespace, on the nodes of `ray.actor_labels`: it outlives runs and readers.
It shares the site's budget with other jobs and processes (`state.shared_site`). `end_throttles` ends it with the connection; without that it
ends itself after being idle. A throttle that dies is replaced by the next process that requests permits; it begins with the rate
that the KV has, and permits that were granted stay valid: they are spaced.
"""

import logging
import secrets
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Condition, Lock, Thread
from typing import Any
from urllib.parse import quote

import ray
from ray.util.metrics import Gauge

from ingest_ray.executors.ray.remote_errors import unwrapped
from ingest_ray.http import timing
from ingest_ray.http.aimd import Grant, State
from ingest_ray.http.permits import Lease, PermitWait, Watch
from ingest_ray.http.rate_limit_headers import Signal
from ingest_ray.kv import open_state
from ingest_ray.sdk.errors import IngestError, SourceUnavailable
from ingest_ray.settings import Settings
from ingest_ray.state.shared_site import SharedSite

log = logging.getLogger(__name__)

PREFIX = "throttle:"
MOST_BATCH = 16  # permits per lease: at 50 requests per second, a third of a second ahead
STALE_S = 2.0  # an unused permit is returned: used late, it would exceed the rate
IDLE_S = 1800.0
LEAVE_S = 5.0
TRIES = 10
TAGS = ("host", "endpoint_class")


@ray.remote(num_cpus=0, max_restarts=0, max_task_retries=0)
class ThrottleActor:
    """`life` identifies the actor instance: permit numbers of one instance are invalid for another of the same name."""

    def __init__(self, host: str, settings: Settings) -> None:
        self._host = host
        self._site = SharedSite(open_state(settings), host)
        self._life = secrets.token_hex(8)
        self._used_at = time.monotonic()
        self._rate = Gauge("ingest_throttle_rate", "Requests per second that are allowed now.", TAGS)
        self._concurrency = Gauge("ingest_throttle_concurrency", "Requests at once that are allowed now.", TAGS)
        self._refusals = Gauge("ingest_throttle_refusals", "Requests that were refused so far.", TAGS)
        Thread(target=self._end_when_idle, daemon=True).start()

    def grant(self, endpoint_class: str, wanted: int, points: int) -> tuple[str, Grant]:
        self._used_at = time.monotonic()
        return self._life, self._site.grant(endpoint_class, wanted, points)

    def report(self, life: str, endpoint_class: str, permit: int, signal: Signal) -> None:
        if life != self._life:
            permit = -1  # the signal counts all the same
        self._site.report(endpoint_class, permit, signal)
        if signal.is_refused or permit % 32 == 0:
            self._tell()

    def release(self, life: str, endpoint_class: str, permits: Sequence[int]) -> None:
        if life == self._life:
            for permit in permits:
                self._site.release(endpoint_class, permit)

    def states(self) -> list[State]:
        return list(self._site.states())

    def leave(self) -> None:
        self._site.leave()

    def _tell(self) -> None:
        for state in self.states():
            tags = {"host": self._host, "endpoint_class": state.endpoint_class}
            self._rate.set(state.rate, tags)
            self._concurrency.set(state.concurrency, tags)
            self._refusals.set(state.refusals, tags)

    def _end_when_idle(self) -> None:
        while time.monotonic() - self._used_at < IDLE_S:
            time.sleep(30)
        self._site.leave()
        ray.kill(ray.get_runtime_context().current_actor)


def throttle(host: str, settings: Settings) -> Any:
    """The throttle of this name in the connection's namespace; started if missing."""
    actor: Any = ThrottleActor
    where = dict(settings.ray.actor_labels)
    options = {"name": f"{PREFIX}{quote(host, safe='')}", "get_if_exists": True, "lifetime": "detached"}
    return actor.options(**options, **({"label_selector": where} if where else {})).remote(host, settings)


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
            found += ray.get(actor.states.remote(), timeout=10)
        except (ray.exceptions.RayError, TimeoutError) as error:
            log.warning("a throttle does not tell its state: %s", type(error).__name__)
    return found


def end_throttles() -> None:
    """They give back their shares first; one that does not answer is killed, and its share expires."""
    actors = named_throttles()
    if actors:
        ray.wait([actor.leave.remote() for actor in actors], num_returns=len(actors), timeout=LEAVE_S)
    for actor in actors:
        ray.kill(actor)


@dataclass(frozen=True)
class Slot:
    life: str
    permit: int
    points: int
    due_at: float


@dataclass
class PermitQueue:
    """The permits of one site and endpoint class in this process. One waiting thread leases for all."""

    host: str
    endpoint_class: str
    settings: Settings
    actor: Any = None
    slots: deque[Slot] = field(default_factory=deque)
    changed: Condition = field(default_factory=Condition)
    waiting: int = 0
    is_leasing: bool = False

    def take(self, points: int, watch: Watch) -> Slot:
        wait = PermitWait(self.host, watch, timing.current())
        with self.changed:
            self.waiting += 1
            try:
                while True:
                    self._give_back_stale()
                    fitting = next((slot for slot in self.slots if slot.points >= points), None)
                    if fitting is not None:
                        self.slots.remove(fitting)
                        return fitting
                    if self.is_leasing:
                        self.changed.wait()
                    else:
                        self._lease(points, wait)
            finally:
                self.waiting -= 1

    def _lease(self, points: int, wait: PermitWait) -> None:
        """Called with the lock held; releases it while it calls the actor or waits."""
        self.is_leasing = True
        wanted = min(self.waiting, MOST_BATCH)
        self.changed.release()
        try:
            life, grant = self._granted(wanted, points)
            if not grant.waits_s:
                wait.sleep(grant)
            now = time.monotonic()
        finally:
            self.changed.acquire()
            self.is_leasing = False
            self.changed.notify_all()
        for index, wait_s in enumerate(grant.waits_s):
            self.slots.append(Slot(life, grant.first + index, points, now + wait_s))

    def _granted(self, wanted: int, points: int) -> tuple[str, Grant]:
        for attempt in range(TRIES):
            try:
                if self.actor is None:
                    self.actor = throttle(self.host, self.settings)
                answer: tuple[str, Grant] = ray.get(
                    self.actor.grant.remote(self.endpoint_class, wanted, points), timeout=60
                )
            except (ray.exceptions.RayError, TimeoutError, ValueError) as error:
                if isinstance(cause := unwrapped(error), IngestError):  # the actor lives, and has no share to grant of
                    raise cause from None
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
                self.actor.release.remote(slot.life, self.endpoint_class, [slot.permit])


class ClusterPermits:
    """The permits of this process, leased from the cluster's throttles."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queues: dict[tuple[str, str], PermitQueue] = {}
        self._lock = Lock()

    def _queue(self, host: str, endpoint_class: str) -> PermitQueue:
        with self._lock:
            return self._queues.setdefault((host, endpoint_class), PermitQueue(host, endpoint_class, self._settings))

    def acquire(self, host: str, endpoint_class: str, points: int = 1, watch: Watch | None = None) -> Lease:
        slot = self._queue(host, endpoint_class).take(points, watch or Watch())
        time.sleep(max(0.0, slot.due_at - time.monotonic()))
        return Lease(host, endpoint_class, slot.permit, slot.life)

    def report(self, lease: Lease, signal: Signal) -> None:
        actor = self._queue(lease.host, lease.endpoint_class).actor
        if actor is not None:
            actor.report.remote(lease.throttle, lease.endpoint_class, lease.permit, signal)

    def states(self) -> Sequence[State]:
        return throttle_states()


_of_this_process: dict[str, ClusterPermits] = {}


def cluster_permits(settings: Settings) -> ClusterPermits:
    """One set per process and installation."""
    name = f"{settings.home} {settings.kv_url or settings.state_url}"
    return _of_this_process.setdefault(name, ClusterPermits(settings))
