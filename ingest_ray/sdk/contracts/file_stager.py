"""The optional capability of a sink that readers write into: files of its tables, or files of which its commits take the rows."""

from __future__ import annotations  # so that importing a contract does not import pyarrow

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ingest_ray.sdk.types import Prepared, Slice, Target

if TYPE_CHECKING:
    import pyarrow as pa


@runtime_checkable
class FileStager(Protocol):
    """An optional capability of a sink: it offers its own staging. A reader writes the rows of a slice as files of the table, `commit`
    names these files, and no page is written, read and encoded again in between.

    What `stage_files` returns is the handle of the staged slice: files that no commit named do not exist for readers of the table.
    `abort` deletes them, or, where their process died, `sweep_files` of the unit's next run.
    """

    def adopts(self, target: Target, piece: Slice) -> bool:
        """True where a commit shows the rows of the slice without comparing them with others: rows that are appended, that replace all
        others, or that are proven to be new (`piece.is_insert_only`). Makes no request."""
        ...

    def stage_files(
        self, target: Target, piece: Slice, attempt: int, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
    ) -> Prepared:
        """Writes the rows durably, without showing them. Called after `open`, in any process, for many slices at once; each call is
        one attempt, and no two of them share a file.

        `batches` are read from the source meanwhile: they come once, and what they raise ends the call and leaves no file.
        `rows` is counted by the files themselves; `commit` and `abort` take the result as they take that of `prepare`.

        Raises:
            RowsRejected: values of some rows are refused, and no file is left. The caller stages pages instead, in which it can search.
        """
        ...

    def sweep_files(self, target: Target, run_id: str) -> int:
        """Deletes the files that a lost run staged and no commit has ever named; returns how many. Called after `open` took the target
        over under a newer epoch, so that no commit of that run can name them any more. Files of other runs stay."""
        ...


@runtime_checkable
class LocalFileStager(FileStager, Protocol):
    """A sink whose staged files are no files of its tables: `commit` reads them, on the machine where they were written."""

    def stage_in(self, folder: str) -> None:
        """The local folder of the run's files, which may not be there yet. What is left in it is swept with the run's staging. Called
        before `stage_files`; without it, the sink stages where every machine finds the rows."""
        ...
