"""Statements that SQLAlchemy has compiled once are kept for all SQLite files of a test process: each test opens some of its own.

An engine keeps its statements by its dialect, which is another object in each engine. An eighth of the time of tests of the service
was spent on compiling the same statements again. https://docs.sqlalchemy.org/en/20/core/connections.html#sql-caching
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.util import LRUCache

_compiled: LRUCache[Any] = LRUCache(2_000)


class _CompiledCache:
    """The attribute of an engine that holds its compiled statements; None: it keeps none."""

    def __get__(self, engine: sa.Engine, _: type) -> Any:
        return engine.__dict__["compiled"]

    def __set__(self, engine: sa.Engine, own: Any) -> None:
        is_shared = own is not None and isinstance(engine.dialect, SQLiteDialect)
        engine.__dict__["compiled"] = _compiled if is_shared else own


def share() -> None:
    """For all engines that are made from now on."""
    sa.Engine._compiled_cache = _CompiledCache()  # type: ignore[assignment]
    SQLiteDialect.__hash__ = lambda self: hash(type(self))  # type: ignore[method-assign]
    SQLiteDialect.__eq__ = lambda self, other: type(self) is type(other)  # type: ignore[method-assign]
