"""The files of prepared rows, as a handle names them.

A handle stays under 64 KiB. With more files than that the commit reads their own statistics; with still more, which many partitions
have, they stand in a file of their own beside them.
"""

import json
import uuid
from collections.abc import Sequence

from pydantic import JsonValue

from ingest_ray.sdk.errors import StagingLost
from ingest_ray.sdk.types import Prepared
from ingest_ray.sinks.iceberg.data_files import TableFiles
from ingest_ray.sinks.iceberg.layout.divided_files import DividedFile

PAYLOAD_BYTES = 48 * 1024
LISTING = "listing"


def handle_of(
    files: TableFiles, written: Sequence[DividedFile], prefix: str = "", most_bytes: int = PAYLOAD_BYTES
) -> dict[str, JsonValue]:
    described = [one.fields for one in written]
    if len(json.dumps(described)) <= most_bytes:
        return {"files": list(described)}
    short = [{**one, "stats": ""} for one in described]
    if len(json.dumps(short)) <= most_bytes:
        return {"files": list(short)}
    name = f"{prefix}listing-{uuid.uuid4()}.json"
    with files.create(name) as out:
        out.write(json.dumps(described).encode())
    files.make_durable([name])
    return {"files": [], LISTING: name}


def has_prepared_files(prepared: Prepared) -> bool:
    return bool(prepared.payload.get("files") or prepared.payload.get(LISTING))


def prepared_files(files: TableFiles, prepared: Prepared, *, or_none: bool = False) -> list[dict[str, JsonValue]]:
    """Each file as the fields of a `DividedFile`. Raises `StagingLost` where they are not known any more, or returns none."""
    found = prepared.payload.get("files")
    listing = prepared.payload.get(LISTING)
    if listing:
        try:
            with files.open(str(listing)) as source:
                found = json.loads(source.read())
        except FileNotFoundError as error:
            if or_none:
                return []
            raise StagingLost(
                f"file '{files.path(str(listing))}' of prepared rows is gone", hint="its rows are prepared again"
            ) from error
    return [file for file in found if isinstance(file, dict)] if isinstance(found, list) else []


def delete_listings(files: TableFiles, group: Sequence[Prepared]) -> None:
    for prepared in group:
        if prepared.payload.get(LISTING):
            files.delete(str(prepared.payload[LISTING]))
