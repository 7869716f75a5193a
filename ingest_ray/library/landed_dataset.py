"""What has landed in a unit's table, as a `pyarrow.dataset` or a `ray.data.Dataset`, whatever the sink is."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.missing_packages import named_packages
from ingest_ray.service.units.landed_rows import LandedRows

if TYPE_CHECKING:
    import pyarrow.dataset as pads

RAY_BLOCK_BYTES = 64 * 1024 * 1024  # of one block; Ray Data's own target is 1 to 128 MiB


def arrow_dataset(rows: LandedRows, columns: list[str] | None, folder: Path) -> "pads.Dataset":
    """Writes the rows batch by batch into an Arrow file of `folder`, which the dataset reads lazily; no more than a batch is in memory."""
    import pyarrow.dataset as pads

    schema = _schema_of(rows, columns)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".arrow", delete=False) as file:
        with pa.ipc.new_file(file, schema) as writer:
            for batch in rows.batches(columns):
                writer.write_batch(batch.cast(schema))
    return pads.dataset(file.name, format="ipc")


def ray_dataset(rows: LandedRows, columns: list[str] | None) -> Any:
    """A `ray.data.Dataset` of blocks in Ray's object store. Raises `ConfigError` where Ray is not initialized in this process,
    or where Ray Data's own packages are not installed."""
    with named_packages("a Ray dataset"):
        from importlib import import_module

        datasets = import_module("ingest_ray.executors.ray.datasets")
    if not datasets.is_initialized():
        raise ConfigError("Ray is not initialized in this process", hint="ray.init(), with the address of your cluster")
    with named_packages("a Ray dataset"):
        return datasets.dataset_of(_blocks(rows, columns))


def _schema_of(rows: LandedRows, columns: list[str] | None) -> pa.Schema:
    return pa.schema([rows.schema.field(name) for name in columns or rows.schema.names])


def _blocks(rows: LandedRows, columns: list[str] | None) -> Iterator[pa.Table]:
    """At least one block, so that the dataset has its columns."""
    schema = _schema_of(rows, columns)
    pending: list[pa.RecordBatch] = []
    size = count = 0
    for batch in rows.batches(columns):
        pending.append(batch.cast(schema))
        size += batch.nbytes
        if size >= RAY_BLOCK_BYTES:
            yield pa.Table.from_batches(pending, schema)
            pending, size, count = [], 0, count + 1
    if pending or not count:
        yield pa.Table.from_batches(pending, schema)
