"""The key scan: all keys that a table has now, in one statement, from which deletes are derived."""

from collections.abc import Iterator, Mapping
from typing import NoReturn

import pyarrow as pa
from pydantic import JsonValue

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.errors import ConfigError, SourceChanged
from ingest_ray.sdk.types import Axis, Effect, RunMode, Slice, UnitSpec
from ingest_strategies.jdbc.dialect import Dialect
from ingest_strategies.jdbc.planning.probe import SEGMENT
from ingest_strategies.jdbc.reader import read

PAGE_BYTES = 4 * 1024 * 1024  # some hundred thousand narrow keys
NO_LIMIT = 2**62  # a key scan is never cut: the missing keys would count as deleted


def scan_keys(dialect: Dialect, spec: UnitSpec) -> Iterator[pa.RecordBatch]:
    key = spec.key
    if not key:
        raise ConfigError(f"{spec.unit_id}: a key scan needs a key", hint="set policy.primary_key")
    policy = spec.policy.model_copy(update={"columns": key, "cursor": None})
    config = spec.config.model_copy(update={"policy": policy, "run_mode": RunMode.FULL})
    narrow = spec.model_copy(update={"config": config})
    piece = Slice(segment=SEGMENT, scope_id="key-scan", rank=(0,), axis=Axis(kind="whole"), effect=Effect.LOAD)

    def refuse(raw: Mapping[str, JsonValue], reason: str, column: str | None) -> NoReturn:
        raise SourceChanged(f"{spec.unit_id}: a key cannot be represented, so the key scan is not complete: {reason}")

    columns = [schema_of(spec.dataset, key).field(name) for name in key]
    for batch in read(dialect, narrow, piece, ReadContext(schema_of(spec.dataset, key), PAGE_BYTES, NO_LIMIT, refuse)):
        yield batch.select([field.name for field in columns])
