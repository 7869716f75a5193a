"""Translates the errors of pyiceberg, of its catalogs and of the storage into those of `ingest_ray.sdk.errors`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import requests
import sqlalchemy as sa
from pyiceberg.exceptions import (
    BadRequestError,
    CommitFailedException,
    CommitStateUnknownException,
    ForbiddenError,
    NoSuchNamespaceError,
    NoSuchTableError,
    OAuthError,
    RESTError,
    UnauthorizedError,
    ValidationException,
)

from ingest_ray.files.folder import hint_for
from ingest_ray.sdk.errors import IngestError, SinkRejected, SinkUnavailable

_AWAY = (RESTError, CommitStateUnknownException, requests.RequestException, sa.exc.DBAPIError, OSError)
_DENIED = (UnauthorizedError, ForbiddenError, OAuthError)

_OF_STORE = re.compile(r"AWS Error ([A-Z_]+)")
_KEYS = "check s3.access-key-id, s3.secret-access-key and s3.session-token in options"
_REFUSALS = {
    "ACCESS_DENIED": "check what these credentials may do with the warehouse: list, read, write and delete",
    "INVALID_ACCESS_KEY_ID": _KEYS,
    "INVALID_CLIENT_TOKEN_ID": _KEYS,
    "UNRECOGNIZED_CLIENT": _KEYS,
    "SIGNATURE_DOES_NOT_MATCH": _KEYS,
    "INVALID_SIGNATURE": _KEYS,
    "MISSING_AUTHENTICATION_TOKEN": _KEYS,
    "NO_SUCH_BUCKET": "check the bucket in warehouse",
}
"""The names of https://github.com/aws/aws-sdk-cpp/blob/main/src/aws-cpp-sdk-core/include/aws/core/client/CoreErrors.h and of S3's own,
as Arrow prints them. What is not here may pass."""


@contextmanager
def translate_errors(name: str) -> Iterator[None]:
    """Passes this project's errors on unchanged; translates all others, with the table's name in the message."""
    try:
        yield
    except IngestError:
        raise
    except Exception as error:
        raise translate_error(name, error) from error


def translate_error(name: str, error: Exception) -> IngestError:
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, CommitFailedException):
        return SinkUnavailable(f"table '{name}' was changed by another commit at the same time: {text}")
    if isinstance(error, _DENIED):
        return SinkRejected(
            f"the catalog of table '{name}' refused the login: {text}",
            hint="check the credentials in options, and what they allow",
        )
    if isinstance(error, NoSuchTableError | NoSuchNamespaceError):
        return SinkRejected(f"table '{name}' is gone", hint="reset the unit to load it again")
    if isinstance(error, BadRequestError | ValidationException):
        return SinkRejected(f"table '{name}' refused the write: {text}")
    if isinstance(error, pa.ArrowInvalid | pa.ArrowNotImplementedError):
        return SinkRejected(f"a value does not fit table '{name}': {text}")
    if isinstance(error, OSError) and (found := _OF_STORE.search(text)) and found[1] in _REFUSALS:
        return SinkRejected(f"the object store refused a request for table '{name}': {text}", hint=_REFUSALS[found[1]])
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return SinkUnavailable(f"table '{name}' cannot be reached: {text}", hint=hint_for(error))
    if isinstance(error, _AWAY):
        return SinkUnavailable(
            f"the catalog of table '{name}' cannot be reached: {text}", hint="check uri, warehouse and options"
        )
    return SinkRejected(f"table '{name}' refused the write: {text}")
