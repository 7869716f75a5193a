"""The KV in a SQL table: one statement per write, and the database resolves conflicts."""

import weakref
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, cast

import sqlalchemy as sa
from pydantic import JsonValue

from ingest_ray.kv.documents import check_key, decode, encode
from ingest_ray.kv.engine import parse, state_engine, unavailable
from ingest_ray.sdk.errors import StateConflict

SCAN_ROWS = 500  # one page of a scan: at most 32 MiB, and no transaction stays open between pages

_tables = sa.MetaData()
# Keys sort by their bytes on every database: SQLite's default, PostgreSQL's collation C.
documents = sa.Table(
    "ingest_kv",
    _tables,
    sa.Column("key", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), primary_key=True),
    sa.Column("value", sa.Text, nullable=True),  # NULL: deleted; the row stays so that no version is reused
    sa.Column("version", sa.BigInteger, nullable=False),
)
_CREATE_LOCK = 0x1E57_4B56  # any number that is the same in every process


def _statement(sql: str) -> sa.TextClause:
    """For SQLite and PostgreSQL. As text: every new store compiles its statements, and an expression takes a millisecond."""
    kinds: dict[str, sa.types.TypeEngine[Any]] = {
        "key": sa.Text(),
        "end": sa.Text(),
        "value": sa.Text(),
        "version": sa.BigInteger(),
    }
    return sa.text(sql).bindparams(
        *(sa.bindparam(name, type_=kind) for name, kind in kinds.items() if f":{name}" in sql)
    )


_GET = _statement("SELECT value, version FROM ingest_kv WHERE key = :key")
_CREATE = _statement(
    "INSERT INTO ingest_kv (key, value, version) VALUES (:key, :value, 1) ON CONFLICT (key) DO UPDATE"
    " SET value = excluded.value, version = ingest_kv.version + 1 WHERE ingest_kv.value IS NULL RETURNING version"
)
_REPLACE = _statement(
    "UPDATE ingest_kv SET value = :value, version = version + 1"
    " WHERE key = :key AND version = :version AND value IS NOT NULL RETURNING version"
)


@cache
def _scan(comparison: Literal[">=", ">"], has_end: bool, is_page: bool) -> sa.TextClause:
    end, limit = " AND key < :end" if has_end else "", f" LIMIT {SCAN_ROWS}" if is_page else ""
    return _statement(
        f"SELECT key, value, version FROM ingest_kv WHERE key {comparison} :key{end} AND value IS NOT NULL ORDER BY key{limit}"
    )


class SqlKV:
    """SQLite or PostgreSQL. Connects on first use, and again after the server was unavailable."""

    def __init__(self, url: str) -> None:
        self._url = parse(url)
        self._engine = state_engine(url, autocommit=True)
        self._is_ready = False
        weakref.finalize(self, self._engine.dispose)  # connections do not outlive their store

    def get(self, key: str) -> tuple[dict[str, JsonValue], int] | None:
        row = self._one(_GET, key=check_key(key))
        return None if row is None or row[0] is None else (decode(key, row[0]), row[1])

    def put(self, key: str, value: Mapping[str, JsonValue], if_version: int) -> int:
        text = encode(check_key(key), value)
        if if_version == 0:
            row = self._one(_CREATE, key=key, value=text)
        else:
            row = self._one(_REPLACE, key=key, value=text, version=if_version)
        if row is None:
            raise StateConflict(f"{key}: another process wrote it, version {if_version} is not current")
        return int(row[0])

    def delete(self, key: str, if_version: int) -> None:
        if self._one(_REPLACE, key=check_key(key), value=None, version=if_version) is None:
            raise StateConflict(f"{key}: another process wrote it, version {if_version} is not current")

    def scan(self, prefix: str) -> Iterator[tuple[str, dict[str, JsonValue], int]]:
        page = self._page(">=", prefix, prefix)
        while page:
            for key, text, version in page:
                yield key, decode(key, text), version
            page = self._page(">", page[-1][0], prefix) if len(page) == SCAN_ROWS else []

    def read_at_once(self, prefix: str) -> Iterator[tuple[str, dict[str, JsonValue], int]]:
        """One statement sees one state of the database."""
        for key, text, version in self._page(">=", prefix, prefix, is_page=False):
            yield key, decode(key, text), version

    def close(self) -> None:
        self._engine.dispose()

    def _page(
        self, comparison: Literal[">=", ">"], key: str, prefix: str, *, is_page: bool = True
    ) -> list[tuple[Any, ...]]:
        end = after_prefix(prefix)
        ends = {} if end is None else {"end": end}
        return self._all(_scan(comparison, end is not None, is_page), key=key, **ends)

    def _one(self, statement: sa.TextClause, **values: object) -> tuple[Any, ...] | None:
        rows = self._all(statement, **values)
        return rows[0] if rows else None

    def _all(self, statement: sa.TextClause, **values: object) -> list[tuple[Any, ...]]:
        with unavailable(self._url), self._engine.begin() as connection:
            if not self._is_ready:
                self._make_table(connection)
            rows = cast(list[tuple[Any, ...]], list(connection.execute(statement, values)))
        self._is_ready = True  # only now: other threads do not see the table before its transaction has ended
        return rows

    def _make_table(self, connection: sa.Connection) -> None:
        if (
            connection.dialect.name == "postgresql"
        ):  # two concurrent creators fail on PostgreSQL, even with IF NOT EXISTS
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_CREATE_LOCK})")
            _tables.create_all(connection)
        else:
            connection.execute(sa.schema.CreateTable(documents, if_not_exists=True))


def after_prefix(prefix: str) -> str | None:
    """The smallest text above everything that starts with `prefix`, by code point; None: there is none."""
    while prefix:
        point = ord(prefix[-1]) + 1
        if 0xD800 <= point <= 0xDFFF:  # surrogates have no UTF-8
            point = 0xE000
        if point <= 0x10FFFF:
            return prefix[:-1] + chr(point)
        prefix = prefix[:-1]
    return None
