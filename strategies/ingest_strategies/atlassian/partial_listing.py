"""Lists what can be had: of a listing that only helps to choose filters, what is refused is named and ends nothing."""

import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ingest_ray.http.errors import ScopeMissing
from ingest_ray.sdk.errors import SourceError
from ingest_strategies.atlassian.site_client import SiteClient

log = logging.getLogger(__name__)
T = TypeVar("T")


def list_partly(client: SiteClient[Any], name: str, listing: Callable[[], Iterable[T]]) -> tuple[list[T], str | None]:
    """What was listed, and why that is not all.

    Raises:
        SourceDenied, SourceUnavailable: the account itself cannot be read: then nothing can be had.
    """
    found: list[T] = []
    try:
        found.extend(listing())
        return found, None
    except SourceError as error:
        client.read_account()
        reason = f"{error.message} ({error.hint})" if isinstance(error, ScopeMissing) and error.hint else error.message
        log.warning("%s cannot be listed completely: %s", name, reason)
        return found, reason
