"""Catches the `IngestError` of a call; any other exception passes through and fails the test."""

from collections.abc import Callable

from ingest_ray.sdk.errors import IngestError


def refusal(call: Callable[[], object]) -> IngestError | None:
    try:
        call()
    except IngestError as error:
        return error
    return None


def is_good(error: IngestError | None) -> bool:
    """True for no error, and for a user mistake with a message."""
    return error is None or (error.is_user_mistake and bool(error.message))
