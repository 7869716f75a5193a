"""Transactions of two units that write the same rows of a shared table: the one that fails is executed again."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ingest_ray.sdk.errors import CommitUnknown, LedgerMismatch, SinkRejected, SinkUnavailable
from ingest_ray.sinks.databases.database import Database, Session

TRIES = 8  # each time one of the transactions in conflict commits
PAUSE_S = 0.02  # doubled after each try

T = TypeVar("T")


class DuplicateKey(SinkRejected):
    """A row with the same key, or a table of the same name, exists: another transaction may have made it meanwhile."""


class TransactionConflict(SinkUnavailable):
    """The database gave the transaction up in favour of another one, and rolled it back."""


def execute_transaction(db: Database, work: Callable[[Session], T]) -> T:
    """Raises the error of the last try. A constraint that rows can never fulfil, or a trigger that drops them, fails every try."""
    for number in range(TRIES - 1):
        try:
            with db.transaction() as session:
                return work(session)
        except (DuplicateKey, TransactionConflict, LedgerMismatch):
            time.sleep(random.uniform(0, PAUSE_S * 2**number))
    with db.transaction() as session:
        return work(session)


@contextmanager
def read_transaction(db: Database) -> Iterator[Session]:
    """For statements that change nothing: a connection that is lost at their end leaves nothing unknown, so they are tried again."""
    try:
        with db.transaction() as session:
            yield session
    except CommitUnknown as error:
        raise SinkUnavailable(error.message, hint=error.hint) from error
