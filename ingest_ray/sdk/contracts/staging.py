"""The staging contract: pages between reader and sink."""

from __future__ import annotations  # so that importing a contract does not import pyarrow

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from ingest_ray.sdk.types import Handle

if TYPE_CHECKING:
    import pyarrow as pa


class StageWriter(Protocol):
    def write(self, batch: pa.RecordBatch) -> None: ...

    def close(self) -> Handle:
        """Writes the manifest, last, by rename. Until then no other process sees anything of the attempt."""
        ...

    def abort(self) -> None: ...


class Staging(Protocol):
    """Keeps pages between reader and sink. A reader of pages never sees two attempts mixed.

    Raises `StagingUnavailable` when it cannot be written, `StagingLost` when pages are gone or damaged.
    """

    provider: str

    def open(self, run_id: str, slice_id: str, attempt: int, schema: pa.Schema) -> StageWriter: ...

    def read(self, handle: Handle) -> Iterator[pa.RecordBatch]: ...

    def drop(self, handle: Handle) -> None: ...

    def sweep(self, run_id: str) -> int:
        """Removes all pages of a run; returns the number of bytes freed."""
        ...

    def runs(self) -> Sequence[str]:
        """Returns the ids of the runs that have staged pages."""
        ...
