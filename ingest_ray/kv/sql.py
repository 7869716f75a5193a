"""The KV in a SQL table: one statement per write, and the database resolves conflicts."""

import weakref
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, cast

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


class SqlKV:
    """SQLite or PostgreSQL. Connects on first use, and again after the server was unavailable."""

    def __init__(self, url: str) -> None:
        self._url = parse(url)
        self._engine = state_engine(url, autocommit=True)
        self._is_ready = False
        weakref.finalize(self, self._engine.dispose)  # connections do not outlive their store

    def get(self, key: str) -> tuple[dict[str, JsonValue], int] | None:
        query = sa.select(documents.c.value, documents.c.version).where(documents.c.key == check_key(key))
        row = self._one(query)
        return None if row is None or row[0] is None else (decode(key, row[0]), row[1])

    def put(self, key: str, value: Mapping[str, JsonValue], if_version: int) -> int:
        text = encode(check_key(key), value)
        row = self._one(self._create(key, text) if if_version == 0 else self._replace(key, text, if_version))
        if row is None:
            raise StateConflict(f"{key}: another process wrote it, version {if_version} is not current")
        return int(row[0])

    def delete(self, key: str, if_version: int) -> None:
        if self._one(self._replace(check_key(key), None, if_version)) is None:
            raise StateConflict(f"{key}: another process wrote it, version {if_version} is not current")

    def scan(self, prefix: str) -> Iterator[tuple[str, dict[str, JsonValue], int]]:
        query = self._under(prefix).limit(SCAN_ROWS)
        page = self._all(query)
        while page:
            for key, text, version in page:
                yield key, decode(key, text), version
            page = self._all(query.where(documents.c.key > page[-1][0])) if len(page) == SCAN_ROWS else []

    def read_at_once(self, prefix: str) -> Iterator[tuple[str, dict[str, JsonValue], int]]:
        """One statement sees one state of the database."""
        for key, text, version in self._all(self._under(prefix)):
            yield key, decode(key, text), version

    def close(self) -> None:
        self._engine.dispose()

    def _under(self, prefix: str) -> "sa.Select[tuple[str, str | None, int]]":
        c = documents.c
        query = sa.select(c.key, c.value, c.version).where(c.key >= prefix, c.value.is_not(None))
        if (end := after_prefix(prefix)) is not None:
            query = query.where(c.key < end)
        return query.order_by(c.key)

    def _create(self, key: str, text: str) -> sa.Executable:
        dialect = import_module(f"sqlalchemy.dialects.{self._engine.dialect.name}")  # the other one costs 40 ms
        insert = dialect.insert(documents).values(key=key, value=text, version=1)
        upsert: sa.Executable = insert.on_conflict_do_update(
            index_elements=[documents.c.key],
            set_={"value": insert.excluded.value, "version": documents.c.version + 1},
            where=documents.c.value.is_(None),
        ).returning(documents.c.version)
        return upsert

    def _replace(self, key: str, text: str | None, if_version: int) -> sa.Executable:
        c = documents.c
        return (
            sa.update(documents)
            .where(c.key == key, c.version == if_version, c.value.is_not(None))
            .values(value=text, version=c.version + 1)
            .returning(c.version)
        )

    def _one(self, statement: sa.Executable) -> tuple[Any, ...] | None:
        rows = self._all(statement)
        return rows[0] if rows else None

    def _all(self, statement: sa.Executable) -> list[tuple[Any, ...]]:
        with unavailable(self._url), self._engine.begin() as connection:
            if not self._is_ready:
                self._make_table(connection)
            rows = cast(list[tuple[Any, ...]], list(connection.execute(statement)))
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
