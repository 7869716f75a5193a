"""What is kept of finished runs: a marker in the run's folder says of which unit it is, and until when.

Only files are kept. A folder without a marker, or with one that has expired, is swept like that of any dead run.
"""

import json
import time
from collections.abc import Iterable, Iterator
from typing import Literal
from urllib.parse import quote, unquote

import pyarrow as pa
from pydantic import ValidationError

from ingest_ray.files.folder import Folder
from ingest_ray.sdk.types import Handle, Model
from ingest_ray.staging.files import MANIFEST, FileStaging

MARKER = "kept.json"
ERASED = "erased.arrow"
ERASED_KEYS = pa.schema([("key", pa.string())])
MODEL_SIGN = "@"  # in the name of a slice's folder: pages of a model, which are made again from the slice's own


class KeptRun(Model):
    """`is_complete`: the run succeeded, so that a replacement can be made from it."""

    schema_number: Literal[1] = 1
    run_id: str
    unit_key: str
    started_at: float
    until: float
    is_complete: bool = False
    has_erased: bool = False
    """A comparison with the source: its folder has the keys of source rows that were erased, and no pages."""


def keep(root: str, kept: KeptRun) -> None:
    """Doing it again prolongs it."""
    folder = Folder(root)
    name = quote(kept.run_id, safe="")
    folder.make(name)
    folder.put(f"{name}/{MARKER}", kept.model_dump_json().encode(), is_durable=True)


def kept_runs(root: str, unit_key: str | None = None) -> list[KeptRun]:
    """Those that have not expired, oldest first."""
    folder = Folder(root)
    found = []
    for name in folder.folders():
        if not folder.exists(f"{name}/{MARKER}"):
            continue
        try:
            kept = KeptRun.model_validate(json.loads(folder.get(f"{name}/{MARKER}").to_pybytes()))
        except (ValidationError, ValueError):  # not one of ours, or cut short: not kept
            continue
        if kept.until > time.time() and unit_key in (None, kept.unit_key):
            found.append(kept)
    return sorted(found, key=lambda kept: (kept.started_at, kept.run_id))


def keep_erased(root: str, kept: KeptRun, keys: Iterable[pa.RecordBatch]) -> None:
    """Written before the rows are erased: what is kept of older runs must not bring them back."""
    folder, name = Folder(root), quote(kept.run_id, safe="")
    folder.make(name)
    with folder.create(f"{name}/{ERASED}") as out, pa.ipc.new_file(out, ERASED_KEYS) as writer:
        for batch in keys:
            writer.write_batch(batch.cast(ERASED_KEYS))
    keep(root, kept.model_copy(update={"has_erased": True}))


def erased_since(root: str, unit_key: str, started_at: float) -> set[str]:
    """The keys of source rows that were erased after a moment."""
    folder, found = Folder(root), set()
    for kept in kept_runs(root, unit_key):
        if kept.has_erased and kept.started_at >= started_at:
            content = folder.get(f"{quote(kept.run_id, safe='')}/{ERASED}")
            found |= {str(key) for key in pa.ipc.open_file(content).read_all().column(0).to_pylist()}
    return found


def kept_slices(staging: FileStaging, root: str, run_id: str) -> Iterator[Handle]:
    """The source rows of a kept run, slice by slice; an attempt without a manifest was not finished and is left out."""
    folder = Folder(root)
    for name in sorted(folder.files(quote(run_id, safe=""))):
        parts = name.split("/")
        if parts[-1] == MANIFEST and len(parts) == 4 and MODEL_SIGN not in unquote(parts[1]):
            yield staging.load(folder.uri_of(name.removesuffix(f"/{MANIFEST}")))
