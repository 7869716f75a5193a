"""The budget of one site in one process, shared with the other processes of the installation through the KV.

    grant, report    of this process's share, without the KV
    synchronize      once a second while the site is used, and at once after a refusal: pass on what the answers taught,
                     take what those to the others taught, and divide the rate anew

A process without a share waits until it has one. While the KV is away a process keeps the share that it has, and learns alone.
"""

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Condition, Event, Lock, Thread

from ingest_ray.http.aimd import Aimd, Bounds, Grant, State
from ingest_ray.http.learned_rate import absolute, relative
from ingest_ray.http.rate_limit_headers import Signal
from ingest_ray.http.site_throttle import SiteThrottle
from ingest_ray.kv.keys import site_key
from ingest_ray.sdk.contracts import KV
from ingest_ray.sdk.errors import IngestError, Recovery, StateConflict
from ingest_ray.state import site_document
from ingest_ray.state.class_use import ClassTurn, ClassUse, Merged
from ingest_ray.state.documents import Owner, dumped, parsed
from ingest_ray.state.lease import this_process
from ingest_ray.state.site_document import ClassBudget, ClassShare, Holder, SiteDocument

log = logging.getLogger(__name__)

SYNC_S = 1.0
SOONEST_SYNC_S = 0.1  # after the last one: many requests may be refused at once
JOIN_S = 0.1  # between two looks for a share
LONG_S, LONG_WAIT_S = 3.0, 1.0  # the same, after so long without one; a wait as long as that notices a stop
IDLE_S = 3.0  # the share of a class without requests is given back
MOST_CONFLICTS = 20  # of one write; the next one follows soon
PATIENCE_S = 60.0  # with a KV that is away, before a process that has no share yet gives up
SPACED_S = 0.02  # a permit that is due later was waited for


class SharedSite:
    """Thread-safe. `clock` is monotonic; `wall` is compared with that of other processes."""

    def __init__(
        self,
        kv: KV,
        host: str,
        bounds: Bounds | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        *,
        owner: Owner | None = None,
        is_threaded: bool = True,
    ) -> None:
        self.changed = Condition()
        self._kv, self._host, self._bounds = kv, host, bounds or Bounds()
        self._clock, self._wall = clock, wall
        self._throttle = SiteThrottle(self._bounds)
        self._owner = owner or this_process()
        self._holder_id = secrets.token_hex(4)
        self._uses: dict[str, ClassUse] = {}
        self._syncing = Lock()
        self._exchanged_at = float("-inf")
        self._waits_since: float | None = None
        self._wake = Event()
        self._is_threaded = is_threaded
        self._thread: Thread | None = None
        self._is_closed = False

    def grant(self, endpoint_class: str, wanted: int, points: int) -> Grant:
        """Raises `StateUnavailable` where a process without a share cannot reach the KV for long."""
        with self.changed:
            use = self._use(endpoint_class)
            has_share = use.aimd.share > 0
        if not has_share:
            self._join(use)
        with self.changed:
            use.used_at = now = self._clock()
            self._start_thread()
            if not use.aimd.share:
                use.is_waiting = True
                if now - use.without_share_since < LONG_S:
                    return Grant(retry_s=JOIN_S, is_crowded=True)  # another thread may be about to bring the share
                return Grant(retry_s=LONG_WAIT_S)
            grant = self._throttle.grant(endpoint_class, wanted, points, now)
            use.sent += len(grant.waits_s)
            use.is_waiting |= not grant.waits_s or grant.waits_s[-1] > SPACED_S
            return grant

    def report(self, endpoint_class: str, permit: int, signal: Signal) -> None:
        with self.changed:
            use = self._use(endpoint_class)
            use.used_at = now = self._clock()
            self._throttle.report(endpoint_class, permit, signal, now)
            self.changed.notify_all()
        if signal.is_refused:
            self._wake.set()

    def release(self, endpoint_class: str, permit: int) -> None:
        with self.changed:
            self._throttle.release(endpoint_class, permit)

    def states(self) -> Sequence[State]:
        with self.changed:
            return self._throttle.states(self._host, self._clock())

    def leave(self) -> None:
        """Gives back the shares of classes without requests under way, and keeps what was learnt. Does nothing where the KV is away."""
        try:
            if any(use.aimd.share for use in self._uses.values()):
                self.synchronize(idle_s=0.0)
        except IngestError as error:
            log.warning("the share of '%s' expires by itself: %s", self._host, error.message)

    def close(self) -> None:
        """As `leave`, for the last time."""
        self._is_closed = True
        self._wake.set()
        if (thread := self._thread) is not None:
            thread.join(timeout=PATIENCE_S)
        self.leave()

    def synchronize(self, idle_s: float = IDLE_S) -> None:
        """One exchange with the other processes. Raises `StateUnavailable`."""
        with self._syncing:
            with self.changed:
                now, wall = self._clock(), self._wall()
                turns = [self._turn(name, use, now, idle_s) for name, use in self._uses.items()]
            merged = self._exchange(turns, now, wall)
            with self.changed:
                self._waits_since = None
                if merged is not None:
                    self._apply(merged, turns, now)
                self.changed.notify_all()

    def _join(self, use: ClassUse) -> None:
        """Looks for a share of a class: at most one thread, at once for a new class, then not more often than every `JOIN_S`."""
        if self._clock() - use.looked_at < JOIN_S or not self._syncing.acquire(blocking=False):
            return
        self._syncing.release()
        use.looked_at = self._clock()
        with self.changed:
            self._waits_since = since = self._clock() if self._waits_since is None else self._waits_since
        try:
            self.synchronize()
        except IngestError as error:
            if error.recovery is not Recovery.RETRY or self._clock() - since > PATIENCE_S:
                raise
            log.warning("the budget of '%s' cannot be read, trying again: %s", self._host, error.message)

    def _use(self, endpoint_class: str) -> ClassUse:
        if endpoint_class not in self._uses:
            aimd = self._throttle.aimd(endpoint_class)
            now = self._clock()
            use = ClassUse(aimd, measured_at=now, used_at=now, without_share_since=now)
            self._uses[endpoint_class] = use
            aimd.share, aimd.record = 0.0, use.note
        return self._uses[endpoint_class]

    def _turn(self, name: str, use: ClassUse, now: float, idle_s: float) -> ClassTurn:
        use.measure(now)
        is_leaving = use.is_idle(now, idle_s)
        idle = use.aimd.unrecorded_idle_s(now) if is_leaving and use.aimd.share else 0.0
        return ClassTurn(name, list(use.outcomes), use.aimd.learned(now), use.wants, idle, is_leaving)

    def _exchange(self, turns: list[ClassTurn], now: float, wall: float) -> Merged | None:
        """Writes what all know together; None where that has to wait."""
        key = site_key(self._host)
        for _ in range(MOST_CONFLICTS):
            found = self._kv.get(key)
            stored = parsed(SiteDocument, key, found[0]) if found is not None else SiteDocument(at=wall)
            others = stored.live(wall, self._holder_id)
            if len(others) >= site_document.MOST_HOLDERS:
                return None
            merged = self._merged(stored, others, turns, now, wall)
            try:
                self._kv.put(key, dumped(merged.document), found[1] if found is not None else 0)
            except StateConflict:
                continue
            return merged
        return None

    def _merged(
        self, stored: SiteDocument, others: tuple[Holder, ...], turns: list[ClassTurn], now: float, wall: float
    ) -> Merged:
        classes = {name: one for name, one in stored.classes.items() if one.at > wall - site_document.KEPT_S}
        shares: dict[str, ClassShare] = {}
        for turn in turns:
            if turn.is_leaving and not turn.outcomes and not turn.idle_s:
                continue  # unused since the last time
            known = self._known(turn, classes.get(turn.name), others, now, wall)
            outcomes = [] if self._was_alone(turn, now) else turn.outcomes
            learned = site_document.learned_with(known, turn.own, outcomes, now)
            classes[turn.name] = ClassBudget(at=wall, learned=learned)
            if not turn.is_leaving:
                share = site_document.share_of(self._holder_id, turn.wants, others, turn.name, learned.rate)
                shares[turn.name] = ClassShare(share=share, wants=turn.wants)
        newest = sorted(classes, key=lambda name: -classes[name].at)[: site_document.MOST_CLASSES]
        with self.changed:
            quota, paused_until = replace(self._throttle.quota), self._throttle.paused_until
            points = quota.under_way
        written = site_document.written_before(now, wall, stored.at, self._exchanged_at if others else float("-inf"))
        quota.merge(site_document.quota_of(stored.quota, written), now)
        known_pause = absolute(stored.paused_until, written)
        me = Holder(holder_id=self._holder_id, owner=self._owner, renewed_at=wall, shares=shares, points=points)
        document = SiteDocument(
            at=wall,
            paused_until=relative(max(paused_until, known_pause), now),
            quota=site_document.quota_document(quota, now),
            classes={name: classes[name] for name in newest},
            holders=(*others, me) if shares else others,
        )
        return Merged(document, {name: one.share for name, one in shares.items()}, sum(one.points for one in others))

    def _known(
        self, turn: ClassTurn, known: ClassBudget | None, others: tuple[Holder, ...], now: float, wall: float
    ) -> Aimd | None:
        """What the processes know of a class; None where nothing is known any more, or this process alone knows more."""
        if known is None or (self._was_alone(turn, now) and known.at < wall - site_document.HOLD_S):
            return None
        has_share = self._uses[turn.name].aimd.share > 0
        is_shared = any(turn.name in one.shares for one in others)
        earliest = self._exchanged_at if has_share and is_shared else float("-inf")
        written = site_document.written_before(now, wall, known.at, earliest)
        aimd = site_document.known_rate(known, self._bounds, written)
        aimd.note_idle(turn.idle_s if has_share or is_shared else now - written)  # without a share nothing was sent
        return aimd

    def _was_alone(self, turn: ClassTurn, now: float) -> bool:
        """Whether this process learnt without the others for long: what it and they learnt then cannot be put in order."""
        return self._uses[turn.name].aimd.share > 0 and now - self._exchanged_at > site_document.HOLD_S

    def _apply(self, merged: Merged, turns: list[ClassTurn], now: float) -> None:
        self._exchanged_at = now
        self._throttle.quota.merge(site_document.quota_of(merged.document.quota, now), now)
        self._throttle.quota.elsewhere = merged.elsewhere
        self._throttle.paused_until = max(self._throttle.paused_until, absolute(merged.document.paused_until, now))
        for turn in turns:
            use = self._uses[turn.name]
            del use.outcomes[: len(turn.outcomes)]
            if turn.name in merged.document.classes:
                use.aimd.adopt(merged.document.classes[turn.name].learned, now)
                for outcome in use.outcomes:
                    use.aimd.learn(outcome)
            share = merged.shares.get(turn.name, 0.0)
            if share and not use.aimd.share:
                use.sent, use.measured_at = 0, now
            elif use.aimd.share and not share:
                use.without_share_since = now
            use.aimd.take_share(share, now)

    def _start_thread(self) -> None:
        if self._thread is None and self._is_threaded:
            self._thread = Thread(target=self._run, name="site-budget", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        """Until no class has a share, nor waits for one."""
        while True:
            self._wake.wait(SYNC_S)
            self._wake.clear()
            if self._is_closed:
                return
            try:
                self.synchronize()
            except IngestError as error:
                log.warning("the budget of '%s' is not shared at present: %s", self._host, error.message)
            time.sleep(SOONEST_SYNC_S)  # answers to requests under way come in at once
            with self.changed:
                now = self._clock()
                if all(use.is_idle(now, IDLE_S) and not use.aimd.share for use in self._uses.values()):
                    self._thread = None
                    return
