"""The completeness check of key scans. A scan that is not complete raises: deletes are derived from it."""

from ingest_ray.sdk.errors import SourceUnavailable

MOST_SHORT = 0.02  # of search's own count: counts are approximate, and items are deleted while they are listed
FEW = 10


def check_complete(segment: str, items: int, expected: int) -> None:
    """Raises `SourceUnavailable` where clearly fewer items were listed than search counts."""
    if items < expected - max(FEW, MOST_SHORT * expected):
        raise SourceUnavailable(f"key scan of '{segment}': {items} items listed, search counts {expected}")
