"""Rows that readers stage in local files, and that a commit copies into the table: the server writes them once.

A file is one Arrow stream of the stage's columns. It is not forced to the disk: after a crash of the machine no run is left that would
commit it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
from pydantic import JsonValue

from ingest_ray.files.folder import hint_for
from ingest_ray.files.private import make_private_file, make_private_folder
from ingest_ray.sdk.errors import StagingLost, StagingUnavailable
from ingest_ray.sinks.databases.stages import FILE, FILE_BYTES, PreparedStage, StagedFile
from ingest_ray.sinks.databases.types.postgres import POSTGRES_TYPES
from ingest_ray.sinks.type_mapping import map_type

_COPIED = {
    "boolean": "boolean",
    "smallint": "smallint",
    "integer": "integer",
    "bigint": "bigint",
    "real": "real",
    "double precision": "double precision",
    "date": "date",
    "text": "text",
    "bytea": "bytea",
    "uuid": "uuid",
    "timestamp": "timestamp without time zone",
    "timestamp with time zone": "timestamp with time zone",
    "time": "time without time zone",
}

MOST_COLUMNS = 300
"""A row of more may be larger than a page of the server, 8,160 bytes, which only the server sees: a value takes up to 24 where it cannot
be moved out of its row, https://www.postgresql.org/docs/current/storage-toast.html."""


def reported_type(kind: pa.DataType) -> str | None:
    """How the server names the type whose binary form the driver writes for an Arrow type; None for one of which it may refuse values
    that no check here finds, such as JSON.

    https://www.postgresql.org/docs/current/catalog-pg-type.html, `format_type`
    """
    sink_type = map_type(kind, POSTGRES_TYPES).sink_type
    return sink_type if sink_type.startswith("numeric(") else _COPIED.get(sink_type)


class RowFiles:
    """The files of one run, in a folder of this machine."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._sizes: dict[str, int] = {}

    def takes(self, columns: pa.Schema) -> bool:
        return len(columns) <= MOST_COLUMNS and all(reported_type(field.type) is not None for field in columns)

    def load_stage(self, stage: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        """Raises what `batches` raise.

        Raises:
            StagingUnavailable: the file cannot be written.
        """
        path = self._path(stage)
        rows = iter(batches)
        try:
            make_private_folder(path.parent)
            make_private_file(str(path))
            with pa.OSFile(str(path), "wb") as out, pa.ipc.new_stream(out, schema) as writer:
                for batch in _of_source(rows):
                    writer.write_batch(batch)
            self._sizes[stage] = path.stat().st_size
        except _SourceFailed as failed:
            raise failed.error from None
        except OSError as error:
            raise StagingUnavailable(f"staging at '{path}' failed: {error}", hint=hint_for(error)) from error

    def drop_stages(self, stages: Iterable[str]) -> None:
        for stage in stages:
            self._sizes.pop(stage, None)
            delete_file(str(self._path(stage)))

    def payload(self, stage: str) -> dict[str, JsonValue]:
        return {FILE: str(self._path(stage)), FILE_BYTES: self._sizes.pop(stage)}

    def _path(self, stage: str) -> Path:
        return self._folder / f"{stage}.arrow"


class _SourceFailed(Exception):
    """Carries an error of the rows past the handling of the file's own errors."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _of_source(rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            batch = next(rows)
        except StopIteration:
            return
        except BaseException as error:
            raise _SourceFailed(error) from error
        yield batch


def delete_file(path: str) -> None:
    with suppress(OSError):  # what cannot be deleted is swept with the run's staging
        Path(path).unlink()


@contextmanager
def opened_rows(stage: PreparedStage, file: StagedFile) -> Iterator[pa.RecordBatchReader]:
    """The rows of a staged file.

    Raises:
        StagingLost: it is gone, or not as it was written.
    """
    try:
        with pa.memory_map(file.path) as source:
            if source.size() != file.bytes:
                raise StagingLost(f"'{file.path}' has {source.size()} bytes instead of {file.bytes}")
            with pa.ipc.open_stream(source) as rows:
                yield rows
    except FileNotFoundError as error:
        raise StagingLost(f"'{file.path}', the rows of slice '{stage.slice_id}', is gone") from error
    except pa.ArrowInvalid as error:
        raise StagingLost(f"'{file.path}' cannot be read: {error}") from error
