"""Optional capabilities of sources and sinks for a complete comparison of both: `ingest-ray verify` and `run --reconcile`."""

from __future__ import annotations  # so that importing a contract does not import pyarrow

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ingest_ray.sdk.contracts.source import ReadContext
from ingest_ray.sdk.key_sums import KeyRange, KeySum
from ingest_ray.sdk.types import SegmentState, Target, UnitSpec

if TYPE_CHECKING:
    import pyarrow as pa


@runtime_checkable
class RowLookup(Protocol):
    """Of a source: reads rows again by their keys."""

    def lookup_columns(self, spec: UnitSpec) -> Sequence[str]:
        """Returns the columns by which a row is found again: those of the key, and, where the source needs more, more."""
        ...

    def version_columns(self, spec: UnitSpec) -> Sequence[str] | None:
        """Returns the columns that change with every change of a row; None: only a comparison of all values shows a change."""
        ...

    def look_up(
        self, spec: UnitSpec, keys: pa.RecordBatch, context: ReadContext, known: Mapping[str, SegmentState] | None
    ) -> Iterator[pa.RecordBatch]:
        """Yields the rows of `keys` (its columns are `lookup_columns`) as the source has them now, as `context.schema`.

        The unit's own filters apply. With `known`, only rows below the watermark of their segment: rows that a run has read
        already. May yield rows of other keys, too. Keys without a row yield nothing.

        Raises:
            ModeUnsupported: rows cannot be found by keys of this type.
        """
        ...


@runtime_checkable
class KeySums(Protocol):
    """Of a source: counts and sums up the keys of whole ranges in the source, for units with one key of whole numbers."""

    def key_span(self, spec: UnitSpec) -> tuple[int, int] | None:
        """Returns the smallest and the largest key; None where keys cannot be summed up, or there is no row."""
        ...

    def sum_keys(self, spec: UnitSpec, keys: KeyRange) -> Mapping[int, KeySum]:
        """Returns the sums of each block of `keys.step` keys that has a row, by the block's number in the range."""
        ...


@runtime_checkable
class RowReader(Protocol):
    """Of a sink: reads back the rows of a unit's table that are not tombstones."""

    def comparable_schema(self, target: Target, schema: pa.Schema) -> pa.Schema:
        """Returns the columns of `schema` that can be read back exactly, in the types in which the table stores them.

        `ingest_ray.sinks.value_conversion.convert` converts the source's values to these types. Columns that the sink writes in a
        form which it cannot read back exactly are left out.
        """
        ...

    def read_rows(
        self,
        target: Target,
        schema: pa.Schema,
        columns: Sequence[str],
        stored: Sequence[str],
        bounds: tuple[int | None, int | None] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yields `columns` in the types of `schema`, then `stored` in the types of `comparable_schema`.

        `bounds`: only the rows whose first column of `columns`, a whole number, is in `[lower, upper)`.
        """
        ...


@runtime_checkable
class KeySumReader(Protocol):
    """Of a sink: the counterpart of `KeySums`."""

    def sum_keys(self, target: Target, schema: pa.Schema, key: str, keys: KeyRange) -> tuple[Mapping[int, KeySum], int]:
        """Returns the sums of the blocks of a range, as `KeySums` does, of the rows that are not tombstones.

        The second value is the number of rows below and above the range.
        """
        ...
