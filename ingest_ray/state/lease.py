"""One owner per unit and sink: a lease with an epoch.

The epoch protects the data: sinks and KV refuse older ones. The lease only prevents two runs from starting by mistake, so a
wrong clock can cost a run but never a row.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ingest_ray.kv.keys import lease_key
from ingest_ray.sdk.contracts import KV
from ingest_ray.sdk.errors import Fenced, RunActive, StateConflict, StateError
from ingest_ray.state.documents import LeaseDocument, Owner, dumped, parsed

TTL_S = 30.0  # a run on another host counts as dead when it has not renewed its lease for this long
RENEW_S = TTL_S / 3


def this_process(pid: int | None = None) -> Owner:
    pid = pid or os.getpid()
    return Owner(host=_host(), pid=pid, started=_started(pid) or "")


def is_live(lease: LeaseDocument, clock: Callable[[], float] = time.time) -> bool:
    """False where the lease was released, has expired, or its process on this host is gone."""
    return not lease.is_released and lease.expires_at > clock() and not is_gone(lease.owner)


def is_gone(owner: Owner) -> bool:
    """Whether a process of this host has ended. False for a process of another host: only its lease shows that."""
    return owner.host == _host() and _started(owner.pid) != owner.started


def describe(lease: LeaseDocument) -> str:
    return f"run {lease.run_id}, process {lease.owner.pid} on {lease.owner.host.partition('/')[0]}"


class Lease:
    """Held by one run. A thread renews it until it is released or lost; with a clock of a test, the test calls `renew`."""

    def __init__(
        self, kv: KV, unit_key: str, document: LeaseDocument, version: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._kv = kv
        self._key = lease_key(unit_key)
        self._document = document
        self._version = version
        self._clock = clock
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._is_lost = False
        self.lost_run: str | None = None
        """The run that held the lease before and did not release it: it was killed, or its state store was away at its end."""
        self._thread = threading.Thread(target=self._renew_until_ended, name="lease", daemon=True)

    @classmethod
    def acquire(
        cls, kv: KV, unit_key: str, run_id: str, owner: Owner, clock: Callable[[], float] = time.time
    ) -> "Lease":
        """Takes the lease with the next epoch. A run whose state process died takes its own lease again.

        Raises:
            RunActive: another live run holds it.
        """
        key = lease_key(unit_key)
        found = kv.get(key)
        old = parsed(LeaseDocument, key, found[0]) if found else None
        is_ours = old is not None and old.run_id == run_id and old.owner == owner
        if old is not None and is_live(old, clock) and not is_ours:
            raise RunActive(f"unit has a live run: {describe(old)}", hint="wait for it, or stop it first")
        new = LeaseDocument(epoch=(old.epoch if old else 0) + 1, run_id=run_id, owner=owner, expires_at=clock() + TTL_S)
        try:
            version = kv.put(key, dumped(new), found[1] if found else 0)
        except StateConflict as error:
            raise RunActive("unit has a live run that started at the same moment", hint="wait for it") from error
        lease = cls(kv, unit_key, new, version, clock)
        if old is not None and not old.is_released and old.run_id != run_id:
            lease.lost_run = old.run_id
        if clock is time.time:
            lease._thread.start()
        return lease

    @property
    def epoch(self) -> int:
        return self._document.epoch

    def check(self) -> None:
        """Raises `Fenced` after another run took over."""
        if self._is_lost:
            raise Fenced(f"run {self._document.run_id} lost its lease: a newer run took over")

    def raise_epoch(self, above: int) -> None:
        """Takes an epoch above one that the sink has seen; only for a state that was lost and is new."""
        self._put({"epoch": above + 1, "expires_at": self._clock() + TTL_S})

    def release(self) -> None:
        self._ended.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=RENEW_S)
        if not self._is_lost:
            self._put({"is_released": True})

    def _put(self, update: Mapping[str, object]) -> None:
        with self._lock:  # a renewal that began before an epoch was raised must not write the old one
            document = self._document.model_copy(update=update)
            try:
                self._version = self._write(document)
            except StateConflict as error:
                self._is_lost = True
                raise Fenced(f"run {self._document.run_id} lost its lease: a newer run took over") from error
            self._document = document

    def _write(self, document: LeaseDocument) -> int:
        """Writes the document. An earlier write of this run, whose result was lost, may be stored with another content."""
        value = dumped(document)
        try:
            return self._kv.put(self._key, value, self._version)
        except StateConflict:
            found = self._kv.get(self._key)
            if found is None:
                raise
            if found[0] == value:
                return found[1]
            stored, ours = parsed(LeaseDocument, self._key, found[0]), self._document
            if (stored.epoch, stored.run_id, stored.owner) != (ours.epoch, ours.run_id, ours.owner):
                raise
            return self._kv.put(self._key, value, found[1])

    def renew(self) -> None:
        """Raises `Fenced` after another run took over, `StateUnavailable` when the store does not respond."""
        self._put({"expires_at": self._clock() + TTL_S})

    def _renew_until_ended(self) -> None:
        while not self._ended.wait(RENEW_S):
            try:
                self.renew()
            except Fenced:
                return
            except StateError:
                continue  # the store may become available again; until the lease expires no other run can take it


def _host() -> str:
    """The name of the host, its boot, and the namespace of its process ids: containers that share the host's name do not see each other's
    processes (https://man7.org/linux/man-pages/man7/pid_namespaces.7.html)."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    parts = [socket.gethostname()]
    if boot.exists():
        parts.append(boot.read_text().strip())
    if namespace.is_symlink():
        parts.append(os.readlink(namespace))
    return "/".join(parts)


def _started(pid: int) -> str | None:
    """The start of a process of this host, in clock ticks since boot; None where there is no such process."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] == "Z" else fields[19]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"
