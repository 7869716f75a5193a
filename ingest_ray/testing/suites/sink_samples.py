"""Sink suite: one table with a column for the samples of each type."""

from dataclasses import dataclass

import pyarrow as pa

from ingest_ray.sdk.types import Fidelity
from ingest_ray.testing.suites.sink_harness import SinkWorld
from ingest_ray.testing.suites.sink_values import SAMPLES, Sample


@dataclass(frozen=True)
class SampleTable:
    """`batch` has the column `id`, which counts from 0, and those of `samples`. A column of fewer values ends with NULL."""

    samples: dict[str, Sample]
    batch: pa.RecordBatch

    @property
    def schema(self) -> pa.Schema:
        return self.batch.schema


def kept_samples(world: SinkWorld) -> SampleTable:
    """Of all samples that the sink neither refuses by their type nor, as `SinkWorld.refuses` says, by one of their values."""
    samples = [sample for sample in SAMPLES if str(sample) not in refused_samples(world)]
    fits = world.open().fit(pa.schema([("x", one.kind) for one in samples]))
    kept = [sample for sample, fit in zip(samples, fits, strict=True) if fit.fidelity is not Fidelity.REFUSED]
    most = max(len(sample.values) for sample in kept)
    padded = [pa.array([*sample.values, *[None] * (most - len(sample.values))], sample.kind) for sample in kept]
    columns = {f"c{number}": sample for number, sample in enumerate(kept)}
    schema = pa.schema([("id", pa.int64()), *((name, sample.kind) for name, sample in columns.items())])
    batch = pa.RecordBatch.from_arrays([pa.array(range(most), pa.int64()), *padded], schema=schema)
    return SampleTable(columns, batch)


def refused_samples(world: SinkWorld) -> frozenset[str]:
    refused: frozenset[str] = getattr(world, "refuses", frozenset())
    return refused
