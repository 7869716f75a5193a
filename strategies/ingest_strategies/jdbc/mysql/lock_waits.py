"""Finds the sessions that wait for the definition of a table, which a statement of ours reads.

A metadata lock is held until the end of a transaction, and DDL that waits for one holds up every statement after it
(https://mariadb.com/kb/en/metadata-locking/). Who holds a lock is only known with a plug-in or the performance schema, which MariaDB
has switched off; that a session waits, and with which statement, is in the list of processes. It needs the right PROCESS, without
which only sessions of the same user are in it.
"""

import re

from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.mysql.catalog import text_literal

MARK = "/* ingest_ray */"
NESTED_VIEWS = 8

_PAIR = re.compile(r"`((?:[^`]|``)+)`\.`((?:[^`]|``)+)`(?!\.)")
# `own` is still our session: it runs a statement of ours, or has sent its rows and is in its transaction.
_WAITERS = (
    "FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata lock%'"
    f" AND info NOT LIKE '{MARK}%'"
)
_WAITING = (
    f"SELECT id {_WAITERS} AND info REGEXP {{names}} AND EXISTS (SELECT 1 FROM information_schema.processlist own"
    f" WHERE own.id = {{own_id}} AND (own.info LIKE '{MARK}%' OR own.info IS NULL))"
)


def sessions_that_wait(session: Session, own_id: int, schema: str, table: str) -> set[int]:
    """The ids of sessions whose statement names the table, or a table below the view, and waits for its definition."""
    if not int(session.rows(f"SELECT count(*) {_WAITERS}")[0][0]):
        return set()
    names = {re.escape(name) for _, name in tables_below(session, schema, table)}
    pattern = f"(^|[^[:alnum:]_$])({'|'.join(sorted(names))})([^[:alnum:]_$]|$)"
    found = session.rows(_WAITING.format(names=text_literal(pattern), own_id=own_id))
    return {int(row[0]) for row in found}


def tables_below(session: Session, schema: str, table: str) -> set[tuple[str, str]]:
    """The table itself; of a view, also the tables and views that it reads."""
    found = level = {(schema, table)}
    for _ in range(NESTED_VIEWS):
        texts = [text for pair in level for text in _definitions(session, *pair)]
        named = {(one.replace("``", "`"), two.replace("``", "`")) for text in texts for one, two in _PAIR.findall(text)}
        level = {pair for pair in named - found if _is_table(session, *pair)}
        if not level:
            break
        found = found | level
    return found


def _definitions(session: Session, schema: str, table: str) -> list[str]:
    where = _named(schema, table)
    return [str(row[0]) for row in session.rows(f"SELECT view_definition FROM information_schema.views WHERE {where}")]


def _is_table(session: Session, schema: str, table: str) -> bool:
    """A pair of names may also be an alias and a column."""
    return bool(session.rows(f"SELECT 1 FROM information_schema.tables WHERE {_named(schema, table)}"))


def _named(schema: str, table: str) -> str:
    return f"table_schema = {text_literal(schema)} AND table_name = {text_literal(table)}"
