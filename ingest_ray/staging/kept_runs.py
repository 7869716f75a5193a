"""Kept runs: staged files that outlive their run. A marker in the run's folder records its unit and until when it is kept.

Only the `files` provider keeps runs. A folder without a marker, or with an expired one, is swept like that of any dead run.
"""

import json
import time
from collections.abc import Iterable, Iterator
from typing import Literal
from urllib.parse import quote, unquote

import pyarrow as pa
from pydantic import ValidationError

from ingest_ray.files.folder import open_folder
from ingest_ray.sdk.location import Location
from ingest_ray.sdk.types import Handle, Model
from ingest_ray.staging.files import MANIFEST, FileStaging

MARKER = "kept.json"
ERASED = "erased.arrow"
ERASED_KEYS = pa.schema([("key", pa.string())])
MODEL_SIGN = (
    "@"  # in the name of a slice's folder: pages of a model, which a remap makes again from the slice's own pages
)


class KeptRun(Model):
    """`is_complete`: the run succeeded, so that a replacement can be made from it."""

    schema_number: Literal[1] = 1
    run_id: str
    unit_key: str
    started_at: float
    until: float
    is_complete: bool = False
    read_at: int | None = None
    """Microseconds since 1970: when the run began to read, as it orders versions. None in markers of older versions."""
    layout: str = ""
    """The masks of its pages, as `engine.masking.layout` writes them."""
    has_erased: bool = False
    """The run compared the sink with the source: its folder has the keys of the erased source rows, and no pages."""


def mark_kept(root: str | Location, kept: KeptRun) -> None:
    """Writes the run's marker; a later call replaces it, with another `until`."""
    folder = open_folder(root)
    name = quote(kept.run_id, safe="")
    folder.make(name)
    folder.put(f"{name}/{MARKER}", kept.model_dump_json().encode(), is_durable=True)


def list_kept_runs(root: str | Location, unit_key: str | None = None) -> list[KeptRun]:
    """The kept runs that have not expired, oldest first."""
    folder = open_folder(root)
    runs = []
    for name in folder.folders():
        if not folder.exists(f"{name}/{MARKER}"):
            continue
        try:
            kept = KeptRun.model_validate(json.loads(folder.get(f"{name}/{MARKER}").to_pybytes()))
        except (ValidationError, ValueError):  # another program's file, or a truncated one: the run is not kept
            continue
        if kept.until > time.time() and unit_key in (None, kept.unit_key):
            runs.append(kept)
    return sorted(runs, key=lambda kept: (kept.started_at, kept.run_id))


def write_erased_keys(root: str | Location, kept: KeptRun, keys: Iterable[pa.RecordBatch]) -> None:
    """Written before the rows are erased, so that a remap of older runs does not restore them."""
    folder, name = open_folder(root), quote(kept.run_id, safe="")
    folder.make(name)
    with folder.create(f"{name}/{ERASED}") as out, pa.ipc.new_file(out, ERASED_KEYS) as writer:
        for batch in keys:
            writer.write_batch(batch.cast(ERASED_KEYS))
    mark_kept(root, kept.model_copy(update={"has_erased": True}))


def read_erased_keys(root: str | Location, unit_key: str, since: float) -> set[str]:
    """The keys of the source rows that were erased at or after `since`."""
    folder = open_folder(root)
    keys: set[str] = set()
    for kept in list_kept_runs(root, unit_key):
        if kept.has_erased and kept.started_at >= since:
            content = folder.get(f"{quote(kept.run_id, safe='')}/{ERASED}")
            keys |= {str(key) for key in pa.ipc.open_file(content).read_all().column(0).to_pylist()}
    return keys


def read_kept_slices(staging: FileStaging, root: str | Location, run_id: str) -> Iterator[Handle]:
    """The handles of a kept run's slices. An attempt without a manifest was not finished and is left out."""
    folder = open_folder(root)
    for name in sorted(folder.files(quote(run_id, safe=""))):
        parts = name.split("/")
        if parts[-1] == MANIFEST and len(parts) == 4 and MODEL_SIGN not in unquote(parts[1]):
            yield staging.load(folder.uri_of(name.removesuffix(f"/{MANIFEST}")))
