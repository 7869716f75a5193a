"""Looking after a sink's tables between runs: fewer and larger files, and none that nobody needs."""

from typing import Protocol, runtime_checkable

from ingest_ray.sdk.types import Model, Target

KEEP_H = 7 * 24  # Delta's own default: readers of an older version still find its files


class CareReport(Model):
    location: str
    files_added: int = 0
    files_removed: int = 0
    bytes_added: int = 0
    bytes_removed: int = 0
    is_rehearsal: bool = False
    """Nothing was done; this is what would be."""


@runtime_checkable
class TableCare(Protocol):
    """A sink whose tables are made of files. May run while a unit is loaded: a commit that loses the race is tried again."""

    def compact(self, target: Target) -> CareReport:
        """Rewrites small files into large ones; rows, versions and the ledger stay as they are."""
        ...

    def vacuum(self, target: Target, *, keep_h: int = KEEP_H, rehearse: bool = False) -> CareReport:
        """Deletes files that no version of the last `keep_h` hours has, and what dead runs prepared before that.

        Raises:
            ConfigError: less than a day, which could take files from a run that is going on.
        """
        ...
