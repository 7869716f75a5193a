"""Gives way to DDL that waits for a lock of a long statement: the application waits behind it."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Self

from ingest_ray.sdk.errors import IngestError
from ingest_strategies.jdbc.dialect import Session

_WAITING = """SELECT w.pid::bigint FROM pg_locks w JOIN pg_locks held ON held.relation = w.relation AND held.database = w.database
 WHERE NOT w.granted AND w.mode = 'AccessExclusiveLock' AND held.granted AND held.pid = {pid}"""


class LockWatch:
    """While it is entered, another session looks every `poll_s` seconds whether DDL waits for the backend `pid`. DDL that was
    seen waiting twice is given way to: the backend's statement is cancelled, and if that does not help, the backend is ended.

    A statement that is shorter than `poll_s` costs no session. A session that cannot be opened is tried again.
    """

    def __init__(self, open_session: Callable[[], AbstractContextManager[Session]], pid: int, poll_s: float) -> None:
        self.gave_way_to: int | None = None
        """The process that waited."""
        self._open_session = open_session
        self._pid = pid
        self._poll_s = poll_s
        self._is_over = threading.Event()
        self._signalling = threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """From here on no signal is sent: the backend may belong to another client of a pooler."""
        with self._signalling:
            self._is_over.set()

    def _watch(self) -> None:
        before: set[int] = set()
        while not self._is_over.wait(self._poll_s):
            with suppress(IngestError), self._open_session() as session:
                waiting = {int(row[0]) for row in session.rows(_WAITING.format(pid=self._pid))}
                for process in sorted(waiting & before)[:1]:
                    self._give_way(session, process)
                before = waiting

    def _give_way(self, session: Session, process: int) -> None:
        signal = "pg_cancel_backend" if self.gave_way_to is None else "pg_terminate_backend"
        with self._signalling:
            if not self._is_over.is_set():
                self.gave_way_to = process
                session.rows(f"SELECT {signal}({self._pid})")
