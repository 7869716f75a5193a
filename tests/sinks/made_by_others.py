"""Delta tables that another program made, written as the protocol says: https://github.com/delta-io/delta/blob/master/PROTOCOL.md"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.types import Target, WriteMode

READER_FEATURES = {"columnMapping", "deletionVectors", "timestampNtz", "typeWidening", "v2Checkpoint", "variantType"}
READER_FEATURES |= {"vacuumProtocolCheck", "variantShredding", "catalogManaged"}
FIELDS = (("id", "long"), ("version", "long"), ("text", "string"))


def column(name: str, kind: str, *, nullable: bool = True, **metadata: object) -> dict[str, object]:
    return {"name": name, "type": kind, "nullable": nullable, "metadata": metadata}


COLUMNS = [column(name, kind) for name, kind in FIELDS]


def target_of(write: WriteMode, key: tuple[str, ...] = ("id",)) -> Target:
    return Target(
        sink_id="sink",
        endpoint_id="shop",
        unit_id="public.orders",
        app_id="shop/public.orders/sink",
        write=write,
        key=key,
        version_column="version",
        run_id="run-1",
    )


def make_table(
    sink: Sink,
    *,
    features: Sequence[str] | None = None,
    writer_version: int = 2,
    reader_version: int = 1,
    columns: Sequence[Mapping[str, object]] = COLUMNS,
    partitions: Sequence[str] = (),
    **configuration: str,
) -> Path:
    """An empty table where the unit's would be. With `features`: reader version 3, writer version 7."""
    folder = Path(sink.location(target_of(WriteMode.APPEND)))
    (folder / "_delta_log").mkdir(parents=True)
    protocol: dict[str, object] = {"minReaderVersion": reader_version, "minWriterVersion": writer_version}
    if features is not None:
        readers = [name for name in features if name in READER_FEATURES]
        protocol = {"minReaderVersion": 3 if readers else 1, "minWriterVersion": 7, "writerFeatures": list(features)}
        protocol |= {"readerFeatures": readers} if readers else {}
    metadata = {
        "id": "5fba94ed-9794-4965-ba6e-6ee3c0d22af9",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": list(columns)}),
        "partitionColumns": list(partitions),
        "configuration": {name.replace("__", "."): value for name, value in configuration.items()},
        "createdTime": 0,
    }
    lines = [json.dumps({"protocol": protocol}), json.dumps({"metaData": metadata})]
    (folder / "_delta_log" / f"{0:020}.json").write_text("\n".join(lines) + "\n")
    return folder


def log_actions(folder: Path) -> list[dict[str, Any]]:
    entries = sorted((folder / "_delta_log").glob("*.json"))
    return [json.loads(line) for entry in entries for line in entry.read_text().splitlines()]


def added_files(folder: Path) -> dict[str, dict[str, Any]]:
    """The `add` actions of the files that are in the table now, by path."""
    files: dict[str, dict[str, Any]] = {}
    for action in log_actions(folder):
        if "add" in action:
            files[unquote(action["add"]["path"])] = action["add"]
        elif "remove" in action:
            files.pop(unquote(action["remove"]["path"]), None)
    return files


def read_with_duckdb(folder: Path, select: str) -> list[tuple[Any, ...]]:
    """Reads the files that the log names with DuckDB, which takes the partitions' values from the names of the folders."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        paths = [str(folder / path) for path in added_files(folder)]
        connection.register("files", connection.read_parquet(paths, hive_partitioning=True, union_by_name=True))
        return connection.execute(select).fetchall()
