"""Somebody who goes on inserting and updating at the source, in transactions of different length, whatever dies."""

import contextlib
import threading
import time
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pg8000.dbapi

CREATE = """
CREATE TABLE orders (
    id bigint PRIMARY KEY, note text NOT NULL, amount numeric(12, 2), updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON orders (updated_at);
INSERT INTO orders SELECT i, md5(i::text) || md5((i + 1)::text), i / 7.0, now() FROM generate_series(1, {rows}) AS i;
ANALYZE orders
"""
CHANGE = """
INSERT INTO orders SELECT i, md5(i::text || random()::text), random() * 1000, now() FROM generate_series(%s, %s) AS i
ON CONFLICT (id) DO UPDATE SET note = excluded.note, amount = excluded.amount, updated_at = excluded.updated_at
"""


@dataclass
class Writer:
    socket: str
    random: Random
    rows: int
    written: int = 0
    _is_ending: threading.Event = field(default_factory=threading.Event)

    def connect(self) -> Any:
        return pg8000.dbapi.connect("postgres", database="postgres", unix_sock=self.socket)

    def start(self) -> None:
        self._is_ending.clear()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_ending.set()
        self._thread.join(60)

    def _write(self) -> None:
        while not self._is_ending.is_set():
            with contextlib.suppress(pg8000.dbapi.Error, OSError, AttributeError):  # the server is killed now and then
                self._transactions()
            time.sleep(0.1)

    def _transactions(self) -> None:
        with contextlib.closing(self.connect()) as connection:
            cursor = connection.cursor()
            while not self._is_ending.is_set():
                first = self.random.randrange(1, self.rows + 200)
                cursor.execute(CHANGE, (first, first + self.random.randrange(200)))
                time.sleep(self.random.choice([0.0, 0.01, 0.3]))  # the cursor's value is older than the commit
                connection.commit()
                self.written += 1
                time.sleep(0.02)
