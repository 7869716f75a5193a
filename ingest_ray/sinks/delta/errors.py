"""Translates Delta's errors into those of `ingest_ray.sdk.errors`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from deltalake.exceptions import CommitFailedError, DeltaError, SchemaMismatchError

from ingest_ray.files.folder import hint_for
from ingest_ray.files.store_errors import cause_of, is_final
from ingest_ray.sdk.errors import IngestError, SinkRejected, SinkUnavailable
from ingest_ray.sinks.delta.table_features import unsupported_feature

_STORAGE = {
    "no space left": "the disk is full: free space there",
    "os error 28": "the disk is full: free space there",
    "quota": "the disk quota is used up: free space there",
    "permission denied": "this user may not write there: change its rights",
    "read-only file system": "the file system is read-only",
}

_FEATURE = re.compile(
    r"Feature '(\w+)' is not supported|Unsupported table features required: \[(\w+)|catalog-managed table"
)


# Its errors come in the classes of the table's own, which are final.
_STORE = re.compile(
    r"Generic (S3|GCS|MicrosoftAzure|HTTP) error|Error interacting with object store|Error performing (GET|PUT|POST|HEAD|DELETE)"
)


@contextmanager
def translate_errors(uri: str) -> Iterator[None]:
    """Passes this project's errors on unchanged; translates all others, with the table at `uri` in the message."""
    try:
        yield
    except IngestError:
        raise
    except Exception as error:
        raise translate_error(uri, error) from error


def translate_error(uri: str, error: Exception) -> IngestError:
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    lowered = str(error).lower()
    for sign, hint in _STORAGE.items():
        if sign in lowered:
            return SinkUnavailable(f"table '{uri}' cannot be written: {text}", hint=hint)
    feature = _FEATURE.search(str(error))
    if isinstance(error, DeltaError) and feature is not None:
        return unsupported_feature(uri, feature[1] or _lowered_first(feature[2] or "catalogManaged"))
    if isinstance(error, DeltaError) and "append-only" in lowered:
        return SinkRejected(
            f"table '{uri}' is append-only (delta.appendOnly = true), and this commit would change or remove rows of it",
            hint="set delta.appendOnly to false, or let the unit append",
        )
    if _STORE.search(str(error)):
        cause = cause_of(str(error))
        if cause is not None and cause.is_final:
            return SinkRejected(f"table '{uri}' cannot be reached: {cause.meaning} ({text})", hint=cause.hint)
        hint = cause.hint if cause is not None else "check the uri and its storage_options"
        reason = f"{cause.meaning} ({text})" if cause is not None else text
        return SinkUnavailable(f"table '{uri}' cannot be reached: {reason}", hint=hint)
    if isinstance(error, CommitFailedError):
        return SinkUnavailable(f"table '{uri}' was changed by another commit at the same time: {text}")
    if isinstance(error, SchemaMismatchError):
        return SinkRejected(f"table '{uri}' does not take these columns: {text}")
    if isinstance(error, pa.ArrowInvalid | pa.ArrowNotImplementedError):
        return SinkRejected(f"a value does not fit table '{uri}': {text}")
    if isinstance(error, DeltaError) and not isinstance(error, OSError):
        return SinkRejected(f"table '{uri}' refused the write: {text}")
    if is_final(error):
        return SinkRejected(f"table '{uri}' cannot be reached: {text}", hint=hint_for(error))
    if isinstance(error, OSError):
        return SinkUnavailable(f"table '{uri}' cannot be reached: {text}", hint="check the uri and its storage_options")
    return SinkRejected(f"table '{uri}' refused the write: {text}")


def _lowered_first(name: str) -> str:
    return name[0].lower() + name[1:]
