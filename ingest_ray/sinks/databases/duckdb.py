"""DuckDB: one file, which one process opens at a time. Rows wait as Parquet beside it, so that preparing needs no lock.

https://duckdb.org/docs/stable/connect/concurrency. A file that another process has open is `SinkUnavailable`: it is tried again.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ingest_ray.files.folder import Folder, hint_for
from ingest_ray.sdk.contracts import ModelSink, Sink
from ingest_ray.sdk.errors import ConfigError, IngestError, SinkRejected, SinkUnavailable
from ingest_ray.sdk.types import Fidelity
from ingest_ray.sinks.databases.database import Session
from ingest_ray.sinks.databases.model_sink import SqlModels
from ingest_ray.sinks.databases.standard_sql import FETCH_ROWS, StandardSql
from ingest_ray.sinks.databases.table_sink import SqlSink
from ingest_ray.sinks.parquet import FileRoll
from ingest_ray.sinks.templates import DuckConfig
from ingest_ray.sinks.type_mapping import Fit, TypeRules, digits_of, is_bytes, is_text, refused, widened

LOCK_WAIT_S = 15
LOCK_PAUSE_S = 0.1

_SAME = {
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.uint8(): "utinyint",
    pa.uint16(): "usmallint",
    pa.uint32(): "uinteger",
    pa.uint64(): "ubigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.date32(): "date",
    pa.timestamp("ns"): "timestamp_ns",
}


def leaf(kind: pa.DataType) -> Fit:
    if kind in _SAME:
        return Fit(kind, _SAME[kind])
    if isinstance(kind, pa.BaseExtensionType) and str(kind.extension_name) == "arrow.uuid":
        return Fit(pa.string(), "uuid")
    if isinstance(kind, pa.BaseExtensionType) or is_text(kind):
        return Fit(pa.string(), "varchar")
    if is_bytes(kind):
        return Fit(pa.binary(), "blob")
    if pa.types.is_float16(kind):
        return widened(pa.float32(), "float", "DuckDB has no half floats")
    if pa.types.is_date64(kind):
        return Fit(pa.date32(), "date")
    if pa.types.is_decimal(kind):
        digits, scale = digits_of(kind)
        if digits > 38:
            return widened(pa.string(), "varchar", "DuckDB keeps 38 digits: text in full digits")
        fidelity = Fidelity.EXACT if kind.scale >= 0 else Fidelity.WIDENED
        return Fit(pa.decimal128(digits, scale), f"decimal({digits},{scale})", fidelity)
    if pa.types.is_null(kind):
        return widened(pa.string(), "varchar", "a column that is always NULL")
    return _moment(kind)


def _moment(kind: pa.DataType) -> Fit:
    if pa.types.is_timestamp(kind) and kind.unit != "ns":
        if kind.tz is None:
            return Fit(pa.timestamp("us"), "timestamp")
        note = None if kind.tz == "UTC" else f"the instant; that '{kind.tz}' was its zone is not kept"
        return Fit(pa.timestamp("us", "UTC"), "timestamptz", note=note)
    if pa.types.is_time(kind) and kind.unit != "ns":
        return Fit(pa.time64("us"), "time")
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        return widened(pa.string(), "varchar", "text with nine decimals")
    if pa.types.is_duration(kind):
        return widened(pa.int64(), "bigint", f"a number of '{kind.unit}'")
    if pa.types.is_interval(kind):
        return widened(pa.string(), "varchar", "ISO 8601 text: nanoseconds would not fit an interval")
    return refused(kind, f"DuckDB has no type for '{kind}'")


class Duck(StandardSql):
    rules = TypeRules(leaf)
    key_type = "varchar"

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        self._folder = Folder(f"{self._path}.staged")

    def location(self, name: str) -> str:
        return f"{self._path}#{name}"

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        connection = self._connection()
        try:
            connection.begin()
            yield _DuckSession(connection)
            connection.commit()
        except duckdb.Error as error:
            raise self._translated(error) from error
        finally:
            connection.close()  # rolls back what was not committed

    def create_table(self, session: Session, table: str, columns: dict[str, str], key: Sequence[str]) -> None:
        super().create_table(session, table, columns, ())  # its joins hash; an index would only hinder updates

    def create_model_table(self, session: Session, table: str, columns: dict[str, str], key: str, indexed: str) -> None:
        super().create_table(
            session, table, columns, ()
        )  # a primary key would refuse to update a row twice in a transaction

    def column_type(self, kind: pa.DataType, sink_type: str) -> str:
        if pa.types.is_nested(kind):
            return _nested_type(kind)
        return sink_type

    def columns(self, session: Session, table: str) -> dict[str, str]:
        found = session.run(
            "select column_name, data_type from duckdb_columns() where table_name = ? and schema_name = current_schema()"
            " and database_name = current_database() and not internal",
            table,
        )
        return {str(name): str(kind) for name, kind in found}

    def load(self, stage: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        try:
            self._folder.make(stage)
            roll = FileRoll(schema, lambda name: self._folder.create(f"{stage}/{name}"))
            try:
                for batch in batches:
                    roll.write(batch)
                roll.close()
            except BaseException:
                roll.abandon()
                raise
        except OSError as error:
            raise SinkUnavailable(f"'{self._folder.uri_of(stage)}' failed: {error}", hint=hint_for(error)) from error

    def staged(self, stage: str) -> str:
        files = sorted(self._folder.files(stage))
        listed = ", ".join("'" + self._folder.uri_of(name).replace("'", "''") + "'" for name in files)
        return f"read_parquet([{listed}], hive_partitioning = false)"

    def drop_in(self, session: Session, stages: Sequence[str]) -> bool:
        return False  # files go when the transaction is over

    def drop(self, stages: Sequence[str]) -> None:
        for stage in stages:
            self._folder.delete(stage)

    def stages(self, prefix: str) -> list[str]:
        return [name for name in self._folder.folders() if name.startswith(prefix)]

    def _connection(self) -> duckdb.DuckDBPyConnection:
        """Waits a little for another process to close the file."""
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                Path(self._path).parent.mkdir(parents=True, exist_ok=True)
                return duckdb.connect(self._path)
            except (duckdb.Error, OSError) as error:
                if time.monotonic() > deadline or not _is_taken(error):
                    raise self._translated(error) from error
                time.sleep(LOCK_PAUSE_S)

    def _translated(self, error: Exception) -> IngestError:
        text = f"'{self._path}' failed: {str(error).splitlines()[0]}"
        if _is_taken(error):
            return SinkUnavailable(text, hint="another process has the file open: close it, or wait")
        if isinstance(error, duckdb.TransactionException | duckdb.IOException | OSError):
            return SinkUnavailable(text, hint=hint_for(error))
        return SinkRejected(text)


class _DuckSession:
    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def run(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._connection.execute(sql, list(values)).fetchall()]

    def change(self, sql: str) -> int:
        ((count,),) = self._connection.execute(sql).fetchall()
        return int(count)

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        yield from self._connection.sql(sql).to_arrow_reader(FETCH_ROWS)


def _is_taken(error: Exception) -> bool:
    """Another process has the file, or another thread of this one is just closing it."""
    text = str(error).lower()
    return "could not set lock" in text or "unique file handle conflict" in text


def _nested_type(kind: pa.DataType) -> str:
    if pa.types.is_map(kind):
        return f"map({_nested_type(kind.key_type)}, {_nested_type(kind.item_type)})"
    if pa.types.is_struct(kind):
        fields = ", ".join('"' + field.name.replace('"', '""') + '" ' + _nested_type(field.type) for field in kind)
        return f"struct({fields})"
    if pa.types.is_nested(kind):
        return f"{_nested_type(kind.value_type)}[]"
    return leaf(kind).sink_type


def open_sink(config: DuckConfig) -> Sink:
    return SqlSink(_database(config))


def open_models(config: DuckConfig) -> ModelSink:
    return SqlModels(_database(config))


def _database(config: DuckConfig) -> Duck:
    if config.path.startswith(":memory:") or "://" in config.path:
        raise ConfigError("a DuckDB sink needs a local file")
    return Duck(config.path)
