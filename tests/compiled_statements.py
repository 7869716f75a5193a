"""Statements that SQLAlchemy has compiled once are kept for all SQLite files of a test process: each test opens some of its own.

An engine keeps its statements by its dialect, which is another object in each engine. An eighth of the time of tests of the service
was spent on compiling the same statements again. https://docs.sqlalchemy.org/en/20/core/connections.html#sql-caching
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.util import LRUCache

_compiled: LRUCache[Any] = LRUCache(2_000)


def share() -> None:
    """For all engines that are made from now on."""
    open_engine = sa.Engine.__init__

    def open_sharing_engine(engine: sa.Engine, pool: Any, dialect: Any, *args: Any, **options: Any) -> None:
        open_engine(engine, pool, dialect, *args, **options)
        if isinstance(dialect, SQLiteDialect):
            engine._compiled_cache = _compiled

    sa.Engine.__init__ = open_sharing_engine  # type: ignore[method-assign]
    SQLiteDialect.__hash__ = lambda self: hash(type(self))  # type: ignore[method-assign]
    SQLiteDialect.__eq__ = lambda self, other: type(self) is type(other)  # type: ignore[method-assign]
