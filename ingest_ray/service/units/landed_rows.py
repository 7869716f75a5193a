"""Reads the rows of a unit back from its sink."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from ingest_ray.engine.steps.unit_layout import opened_sink, staged_schema, target_of
from ingest_ray.registry import open_sink
from ingest_ray.sdk.contracts import RowReader
from ingest_ray.sdk.errors import ConfigError, ModeUnsupported
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.gate import gate


class LandedRows:
    """The rows of a unit's table that are not tombstones, as the last commit left them.

    `schema` has the columns that the sink can give back exactly; `left_out` names the others.
    """

    def __init__(self, installation: Installation, unit: UnitRef) -> None:
        """Raises `GateError`, and `ModeUnsupported` for a unit in CDM mode or a sink that cannot read rows back."""
        order = gate(installation, unit)
        if order.spec.is_cdm:
            raise ModeUnsupported(
                f"unit '{unit}' is in CDM mode: its rows are in the tables of models, with those of other units",
                hint="read these tables with the sink's own tools",
            )
        sink = open_sink(opened_sink(order))
        if not isinstance(sink, RowReader):
            raise ModeUnsupported(
                f"sinks of template '{order.sink.template}' cannot read rows back",
                hint="a sink needs the capability RowReader, see docs/write-a-sink.md",
            )
        self._unit, self._sink = unit, sink
        self._target, self._staged = target_of(order), staged_schema(order.spec)
        self.schema: pa.Schema = sink.comparable_schema(self._target, self._staged)
        self.left_out = tuple(name for name in self._staged.names if name not in self.schema.names)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yields batches with `columns`, all of `schema` by default. Raises `ConfigError` for a column that it does not have."""
        names = list(self.schema.names if columns is None else columns)
        unknown = [name for name in names if name not in self.schema.names]
        if unknown:
            raise ConfigError(
                f"unit '{self._unit}': column '{unknown[0]}' cannot be read back",
                hint=f"columns: {', '.join(self.schema.names)}",
            )
        for batch in self._sink.read_rows(self._target, self._staged, [], names):
            yield pa.RecordBatch.from_arrays(batch.columns, names=names)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        names = list(self.schema.names if columns is None else columns)
        batches = list(self.batches(columns))
        if batches:
            return pa.Table.from_batches(batches)
        return pa.schema([self.schema.field(name) for name in names]).empty_table()
