"""What Delta's errors mean for the one who called."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from deltalake.exceptions import CommitFailedError, DeltaError, SchemaMismatchError

from ingest_ray.sdk.errors import IngestError, SinkRejected, SinkUnavailable

_STORAGE = {
    "no space left": "the disk is full: free space there",
    "os error 28": "the disk is full: free space there",
    "quota": "the disk quota is used up: free space there",
    "permission denied": "this user may not write there: change its rights",
    "read-only file system": "the file system is read-only",
}


@contextmanager
def translated(uri: str) -> Iterator[None]:
    """Nothing of this project's errors changes; everything else is about the table at `uri`."""
    try:
        yield
    except IngestError:
        raise
    except Exception as error:
        raise translate(uri, error) from error


def translate(uri: str, error: Exception) -> IngestError:
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    lowered = str(error).lower()
    for sign, hint in _STORAGE.items():
        if sign in lowered:
            return SinkUnavailable(f"table '{uri}' cannot be written: {text}", hint=hint)
    if isinstance(error, CommitFailedError):
        return SinkUnavailable(f"table '{uri}' was changed by another commit at the same time: {text}")
    if isinstance(error, SchemaMismatchError):
        return SinkRejected(f"table '{uri}' does not take these columns: {text}")
    if isinstance(error, pa.ArrowInvalid | pa.ArrowNotImplementedError):
        return SinkRejected(f"a value does not fit table '{uri}': {text}")
    if isinstance(error, DeltaError) and not isinstance(error, OSError):
        return SinkRejected(f"table '{uri}' refused the write: {text}")
    if isinstance(error, OSError):
        return SinkUnavailable(f"table '{uri}' cannot be reached: {text}", hint="check the uri and its storage_options")
    return SinkRejected(f"table '{uri}' refused the write: {text}")
