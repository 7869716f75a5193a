"""Gives way to DDL that waits for a lock of a long statement: the application waits behind it."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Self

from ingest_ray.sdk.errors import IngestError
from ingest_strategies.jdbc.dialect import Session


class LockWatch:
    """While it is entered, another session looks every `poll_s` seconds which sessions wait for the watched one. One that was
    seen waiting twice is given way to: by the first of `signals`, and where that does not help, by the next.

    A statement that is shorter than `poll_s` costs no session. A session that cannot be opened is tried again.
    """

    def __init__(
        self,
        open_session: Callable[[], AbstractContextManager[Session]],
        find_waiting: Callable[[Session], set[int]],
        signals: Sequence[str],
        poll_s: float,
    ) -> None:
        """`find_waiting` returns the ids of sessions that wait; `signals` are statements that end the watched session's work."""
        self.gave_way_to: int | None = None
        """The session that waited."""
        self._open_session = open_session
        self._find_waiting = find_waiting
        self._signals = list(signals)
        self._poll_s = poll_s
        self._is_over = threading.Event()
        self._signalling = threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """From here on no signal is sent: the watched session may belong to another client of a pooler."""
        with self._signalling:
            self._is_over.set()

    def _watch(self) -> None:
        before: set[int] = set()
        while not self._is_over.wait(self._poll_s):
            with suppress(IngestError), self._open_session() as session:
                waiting = self._find_waiting(session)
                for process in sorted(waiting & before)[:1]:
                    self._give_way(session, process)
                before = waiting

    def _give_way(self, session: Session, process: int) -> None:
        with self._signalling:
            if not self._is_over.is_set():
                self.gave_way_to = process
                session.rows(self._signals[0] if len(self._signals) == 1 else self._signals.pop(0))
