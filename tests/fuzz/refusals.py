"""What a piece of work refuses; anything that is no `IngestError` gets through, and fails the test."""

from collections.abc import Callable

from ingest_ray.sdk.errors import IngestError


def refusal(work: Callable[[], object]) -> IngestError | None:
    try:
        work()
    except IngestError as error:
        return error
    return None


def is_good(error: IngestError | None) -> bool:
    """There is none, or it is one that a person can mend, and says what."""
    return error is None or (error.is_user_mistake and bool(error.message))
