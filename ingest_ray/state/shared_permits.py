"""The permits of one process, from budgets that all processes of an installation share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from threading import Lock

from ingest_ray.http.aimd import State
from ingest_ray.http.permits import Lease, PermitWait, Watch, are_chosen, using
from ingest_ray.http.rate_limit_headers import Signal
from ingest_ray.http.timing import Timing
from ingest_ray.kv import open_state
from ingest_ray.sdk.contracts import KV
from ingest_ray.settings import Settings
from ingest_ray.state.shared_site import SharedSite


class SharedPermits:
    """The `Permits` of a process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timing = Timing()
        self._sites: dict[str, SharedSite] = {}
        self._lock = Lock()

    def acquire(self, host: str, endpoint_class: str, points: int = 1, watch: Watch | None = None) -> Lease:
        """Raises, beside what `Permits` says, `StateUnavailable`: there is no share of the budget without the KV."""
        site, wait = self._site(host), PermitWait(host, watch or Watch(), self._timing)
        while True:
            grant = site.grant(endpoint_class, 1, points)
            if grant.is_crowded:
                with site.changed:
                    site.changed.wait(min(grant.retry_s, 0.05))  # an answer may have come since
            elif not grant.waits_s:
                wait.sleep(grant)
            else:
                self._timing.sleep(grant.waits_s[0])
                return Lease(host, endpoint_class, grant.first)

    def report(self, lease: Lease, signal: Signal) -> None:
        self._site(lease.host).report(lease.endpoint_class, lease.permit, signal)

    def states(self) -> Sequence[State]:
        with self._lock:
            sites = sorted(self._sites.items())
        return [state for _, site in sites for state in site.states()]

    def close(self) -> None:
        """Gives back the shares, and keeps what was learnt."""
        with self._lock:
            sites = list(self._sites.values())
        for site in sites:
            site.close()

    @cached_property
    def _kv(self) -> KV:
        return open_state(self._settings)

    def _site(self, host: str) -> SharedSite:
        with self._lock:
            if host not in self._sites:
                self._sites[host] = SharedSite(self._kv, host)
            return self._sites[host]


_open: dict[str, tuple[SharedPermits, int]] = {}
_open_lock = Lock()


@contextmanager
def sharing_permits(settings: Settings) -> Iterator[None]:
    """Requests inside take permits from the budgets of the installation, unless the caller has chosen other permits already.

    One set per process; nothing is opened before a request.
    """
    if are_chosen():
        yield
        return
    name = f"{settings.home} {settings.kv_url or settings.state_url}"
    with _open_lock:
        permits, users = _open.get(name) or (SharedPermits(settings), 0)
        _open[name] = (permits, users + 1)
    try:
        with using(permits):
            yield
    finally:
        with _open_lock:
            users = _open[name][1] - 1
            _open[name] = (permits, users)
            if not users:
                del _open[name]
        if not users:
            permits.close()
