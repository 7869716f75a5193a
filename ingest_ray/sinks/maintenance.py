"""The maintenance of a sink's tables between runs: fewer and larger files, and the removal of unneeded ones."""

from __future__ import annotations  # so that importing a contract does not import pyarrow

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ingest_ray.sdk.types import Model, Target

if TYPE_CHECKING:
    import pyarrow as pa

KEEP_H = 7 * 24  # Delta's own default: readers of an older version still find its files


class MaintenanceReport(Model):
    location: str
    files_added: int = 0
    files_removed: int = 0
    bytes_added: int = 0
    bytes_removed: int = 0
    is_rehearsal: bool = False
    """True for a report of what would be done: nothing was changed."""


@runtime_checkable
class TableMaintenance(Protocol):
    """A sink whose tables consist of files. May run while a unit is loaded: a commit that conflicts is tried again."""

    def compact(self, target: Target) -> MaintenanceReport:
        """Rewrites small files into large ones; rows, versions and the commit ledger do not change."""
        ...

    def vacuum(self, target: Target, *, keep_h: int = KEEP_H, rehearse: bool = False) -> MaintenanceReport:
        """Deletes files that no version of the last `keep_h` hours has, and files that dead runs prepared before that.

        Raises:
            ConfigError: `keep_h` is less than a day, which could delete files of a live run.
        """
        ...


@runtime_checkable
class LayoutChange(Protocol):
    """A sink whose tables have layouts, and that writes a table again in another one."""

    def check_layout(self, target: Target, schema: pa.Schema) -> None:
        """Raises `SinkRejected`, whose message begins with `layout.`, for a layout that a table of these columns cannot have."""
        ...

    def relayout(self, target: Target, schema: pa.Schema, epoch: int) -> MaintenanceReport:
        """Writes all rows again in the layout of `target`, in one commit of `epoch`; nothing where the table has that layout.

        Rows, versions and the commit ledger do not change. `schema`: the source's columns. The caller holds the unit's lease.

        Raises:
            Fenced: a newer epoch has the table.
            SinkUnavailable: nothing happened; try again.
        """
        ...
