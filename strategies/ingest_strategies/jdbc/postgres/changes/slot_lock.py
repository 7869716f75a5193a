"""One session at a time reads, moves on or divides a replication slot that several units share."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, cast

from ingest_ray.sdk.errors import SourceUnavailable
from ingest_strategies.jdbc.dialect import Session

WAIT_S = 60.0  # for a round that another unit or process reads
POLL_S = 0.05


class LockingSession(Protocol):
    def holding(self, name: str) -> AbstractContextManager[bool]: ...


@contextmanager
def slot_lock(session: Session, name: str) -> Iterator[None]:
    """One transaction, which waits for its turn.

    Raises:
        SourceUnavailable: another session has had the slot all the time.
    """
    deadline = time.monotonic() + WAIT_S
    while True:
        with cast(LockingSession, session).holding(name) as is_held:
            if is_held:
                yield
                return
        if time.monotonic() > deadline:
            raise SourceUnavailable(f"replication slot '{name}' is in use by another run for {WAIT_S:.0f} s")
        time.sleep(POLL_S)
