"""How every source strategy behaves. A new one joins in one line:

TestMySource = strategy_suite(lambda: KnownUnit(strategy, endpoint, "orders", rows=[{"id": 1, "name": "a"}, ...]))

`rows` are all rows of the unit, as `pyarrow` converts them to Python. There should be enough of them for several slices; a source
that reads a unit whole sets `least_slices=1`.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.core import planning
from ingest_ray.core.checkpoint import opened
from ingest_ray.sdk.contracts import ReadContext, RowLookup, Strategy, find_capability
from ingest_ray.sdk.dataset_schema import check_column_types
from ingest_ray.sdk.types import Dataset, Endpoint, Interval, Learned, Policy, SegmentState, Slice, UnitConfig, UnitSpec
from ingest_ray.testing.dry_run import Rehearsal


@dataclass(frozen=True)
class KnownUnit:
    """A unit all of whose rows a test knows. A large `bytes_per_row` makes its slices small."""

    strategy: Strategy
    endpoint: Endpoint
    dataset: str
    rows: Sequence[Mapping[str, Any]]
    policy: Policy = field(default_factory=lambda: Policy(target_slice_bytes=64 * 1024))
    bytes_per_row: float | None = 8 * 1024.0
    secrets: Sequence[str] = field(default_factory=tuple)
    least_slices: int = 2

    def datasets(self) -> list[Dataset]:
        return list(self.strategy.collect(self.endpoint))

    def spec(self) -> UnitSpec:
        dataset = next(dataset for dataset in self.datasets() if dataset.name == self.dataset)
        config = UnitConfig(
            endpoint_id=self.endpoint.endpoint_id,
            unit_id=self.dataset,
            sink_id="sink",
            enabled=True,
            policy=self.policy,
        )
        learned = Learned(bytes_per_row=self.bytes_per_row)
        return UnitSpec(endpoint=self.endpoint, dataset=dataset, config=config, learned=learned)


def counted(rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Rows as a multiset; text forms, because values may be lists."""
    return Counter(repr(sorted(row.items())) for row in rows)


def slices_of(known: KnownUnit, spec: UnitSpec) -> list[Slice]:
    with known.strategy.probe(spec, {}) as probe:
        scopes = known.strategy.scopes(spec, probe, {})
        found: list[Slice] = []
        for segment in dict.fromkeys(scope.segment for scope in scopes):
            mine = [scope for scope in scopes if scope.segment == segment]
            _, ready = opened(SegmentState(segment=segment), mine, is_target_empty=True)
            found.extend(planning.slices(known.strategy, spec, probe, ready))
        return found


def strategy_suite(known_unit: Callable[[], KnownUnit]) -> type["StrategySuite"]:
    """Returns the suite of one unit: `TestMySource = strategy_suite(lambda: KnownUnit(...))`."""

    class Suite(StrategySuite):
        @pytest.fixture
        def known(self) -> KnownUnit:
            return known_unit()

    return Suite


class StrategySuite:
    """Subclasses give the fixture `known`."""

    def test_units_come_only_from_datasets_and_without_a_request(self, known: KnownUnit) -> None:
        datasets = known.datasets()
        nowhere = known.endpoint.model_copy(update={"config": {}})
        assert known.strategy.list_units(nowhere, []) == []
        units = known.strategy.list_units(nowhere, datasets)
        assert {unit.dataset_id for unit in units} <= {dataset.dataset_id for dataset in datasets}
        assert known.dataset in {unit.unit_id for unit in units}

    def test_a3_datasets_are_unique_and_the_same_each_time(self, known: KnownUnit) -> None:
        first, second = known.datasets(), known.datasets()
        assert first == second
        assert len({dataset.name for dataset in first}) == len(first)

    def test_types_of_columns_can_be_read(self, known: KnownUnit) -> None:
        for dataset in known.datasets():
            check_column_types(dataset)

    def test_a3_keys_are_columns(self, known: KnownUnit) -> None:
        for dataset in known.datasets():
            for key in (dataset.primary_key, *dataset.unique_keys):
                assert all(dataset.column(name) is not None for name in key), dataset.name

    def test_a2_the_endpoint_can_be_tested(self, known: KnownUnit) -> None:
        report = known.strategy.test(known.endpoint)
        assert report.ok
        assert report.version

    def test_a4_equal_inputs_give_equal_plans(self, known: KnownUnit) -> None:
        spec = known.spec()
        first, second = slices_of(known, spec), slices_of(known, spec)
        without = {"snapshot": None}
        assert [s.model_copy(update=without) for s in first] == [s.model_copy(update=without) for s in second]

    def test_a6_modes_and_snapshots_are_those_that_the_descriptor_declares(self, known: KnownUnit) -> None:
        declared = known.strategy.descriptor.capabilities
        for unit in known.strategy.list_units(known.endpoint, known.datasets()):
            assert {mode.value.lower() for mode in unit.supported_modes} <= set(declared), unit.unit_id
        if any(piece.snapshot is not None for piece in slices_of(known, known.spec())):
            assert "snapshot" in declared

    def test_slices_are_small_plain_and_many(self, known: KnownUnit) -> None:
        slices = slices_of(known, known.spec())
        assert len(slices) >= known.least_slices
        assert len({piece.slice_id for piece in slices}) == len(slices)
        for piece in slices:
            text = piece.model_dump_json()
            assert len(text) < 4096
            assert Slice.model_validate_json(text) == piece

    def test_a1_no_secret_is_in_a_plan(self, known: KnownUnit) -> None:
        spec = known.spec()
        with known.strategy.probe(spec, {}) as probe:
            texts = [piece.model_dump_json() for piece in slices_of(known, spec)]
            texts.append(json.dumps(dict(probe.facts)))
        for secret in known.secrets:
            assert not any(secret in text for text in texts)

    def test_b9_the_slices_together_are_the_table_and_no_row_is_in_two(self, known: KnownUnit) -> None:
        outcome = Rehearsal(known.strategy, known.spec()).run()
        assert counted(outcome.rows) == counted(known.rows)
        assert outcome.rejects == []

    def test_slices_may_be_read_in_any_order(self, known: KnownUnit) -> None:
        outcome = Rehearsal(known.strategy, known.spec()).run(order=lambda slices: slices[::-1])
        assert counted(outcome.rows) == counted(known.rows)

    def test_a_slice_read_twice_gives_the_same_rows(self, known: KnownUnit) -> None:
        rehearsal = Rehearsal(known.strategy, known.spec())
        with known.strategy.probe(rehearsal.spec, {}) as probe:
            scopes = known.strategy.scopes(rehearsal.spec, probe, {})
            _, ready = opened(SegmentState(segment=scopes[0].segment), scopes[:1], is_target_empty=True)
            piece = next(planning.slices(known.strategy, rehearsal.spec, probe, ready))
            first = [row for batch in rehearsal.read(piece) for row in batch.to_pylist()]
            second = [row for batch in rehearsal.read(piece) for row in batch.to_pylist()]
        assert counted(first) == counted(second)
        assert first

    def test_h67_an_empty_interval_has_no_rows_and_the_declared_schema(self, known: KnownUnit) -> None:
        rehearsal = Rehearsal(known.strategy, known.spec())
        with known.strategy.probe(rehearsal.spec, {}) as probe:
            scopes = known.strategy.scopes(rehearsal.spec, probe, {})
            _, ready = opened(SegmentState(segment=scopes[0].segment), scopes[:1], is_target_empty=True)
            first = next(planning.slices(known.strategy, rehearsal.spec, probe, ready))
            if first.interval.upper is None:
                pytest.skip("the unit is one slice: it has no position to be empty at")
            empty = first.model_copy(
                update={"interval": Interval(lower=first.interval.upper, upper=first.interval.upper)}
            )
            batches = list(rehearsal.read(empty))
        assert sum(batch.num_rows for batch in batches) == 0
        assert all(batch.schema.equals(rehearsal.schema) for batch in batches)

    def test_rows_that_are_looked_up_by_their_keys_are_those_that_were_read(self, known: KnownUnit) -> None:
        lookup = find_capability(known.strategy, RowLookup)
        spec = known.spec()
        if lookup is None or not spec.key:
            pytest.skip("the source cannot look up rows of this unit")
        rehearsal = Rehearsal(known.strategy, spec)
        wanted, names = rehearsal.run().rows[1:4], list(lookup.lookup_columns(spec))
        assert set(spec.key) <= set(names)
        keys = pa.RecordBatch.from_pylist(wanted, schema=rehearsal.schema).select(names)
        context = ReadContext(rehearsal.schema, 2**20, 2**62, reject=lambda raw, reason, column: None)
        batches = list(lookup.look_up(spec, keys, context, None))
        assert all(batch.schema.names == rehearsal.schema.names for batch in batches)
        by_key = {tuple(row[name] for name in spec.key) for row in wanted}
        rows = [row for batch in batches for row in batch.to_pylist()]
        found = [row for row in rows if tuple(row[name] for name in spec.key) in by_key]
        assert counted(found) == counted(wanted)

    def test_the_preview_shows_rows_of_the_table(self, known: KnownUnit) -> None:
        spec = known.spec()
        table = known.strategy.preview(known.endpoint, spec.dataset, 3)
        assert table.num_rows == min(3, len(known.rows))
        assert not counted(table.to_pylist()) - counted(known.rows)
