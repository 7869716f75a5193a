"""The layout of quarantine files, and the translation of storage errors.

Layout: `<root>/<endpoint>/<unit>/<sink>/{pending,rows}/<run>/<slice>[~<attempt>].jsonl`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from ingest_ray.files.folder import hint_for
from ingest_ray.sdk.errors import SinkUnavailable

PENDING, OFFICIAL = "pending", "rows"


@contextmanager
def translate_errors(uri: str) -> Iterator[None]:
    """The message names `uri`, and the hint the way to mend the error."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise SinkUnavailable(f"quarantine at '{uri}' failed: {error}", hint=hint_for(error)) from error
