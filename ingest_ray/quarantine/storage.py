"""The layout of quarantine files, and the translation of storage errors.

Layout: `<root>/<endpoint>/<unit>/<sink>/{pending,rows}/<run>/<slice>[~<attempt>].jsonl`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from ingest_ray.files.folder import Folder, hint_for, open_folder
from ingest_ray.sdk.errors import SinkUnavailable
from ingest_ray.sdk.location import Location

PENDING, OFFICIAL = "pending", "rows"


def open_above(file: str | Location, levels: int) -> tuple[Folder, list[str]]:
    """The folder that is `levels` above a file, and the last parts of the file's path."""
    location = file if isinstance(file, Location) else Location(file)
    base, *names = location.base.rsplit("/", levels)
    return open_folder(location.at(location.with_base(base))), names


@contextmanager
def translate_errors(uri: str) -> Iterator[None]:
    """The message names `uri`, and the hint the way to mend the error."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise SinkUnavailable(f"quarantine at '{uri}' failed: {error}", hint=hint_for(error)) from error
