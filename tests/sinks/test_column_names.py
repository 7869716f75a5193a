"""Columns that a database cannot have by that name, or in that number."""

from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Fidelity, WriteMode
from ingest_ray.testing.suites.sink_harness import Load
from tests.sinks.test_value_limits import WORLDS

pytestmark = pytest.mark.slow

CYRILLIC, ALIKE, PLANE, BLANK = "ж" * 40, "k" * 70, "\U0001f600" * 3, "blank "
LIMITED = {"p": {CYRILLIC, ALIKE}, "m": {ALIKE, PLANE, BLANK}, "s": set(), "d": set(), "l": set(), "i": set()}
INTERNAL = (
    "_ingest_order",
    "_ingest_place",
    "_ingest_rank",
    "_INGEST_ORDER",
    "_ingest_widened",
    "_ingest_winners",
    "t",
    "w",
)


@pytest.mark.parametrize("sink", list(WORLDS))
def test_a_name_that_a_sink_has_not_is_shortened_and_told(request: pytest.FixtureRequest, sink: str) -> None:
    world = WORLDS[sink](request)
    names = [CYRILLIC, CYRILLIC + "2", ALIKE + "a", ALIKE + "b", PLANE, BLANK, "plain"]
    key, version = CYRILLIC + "2", ALIKE + "b"
    schema = pa.schema([("id", pa.int64()), *((name, pa.int64()) for name in names)])
    load = Load(world, WriteMode.UPSERT, schema=schema, key=("id", key), version=version)
    for round_ in (1, 2, 3):
        values = [[1], *([7 if name == key else 9 if name == "plain" else round_] for name in names)]
        load.commit(load.prepare(pa.record_batch(values, schema=schema), first=round_ == 1))
        load.reopen()
    (row,) = world.read_all(load.target)
    told = {fit.column: fit for fit in load.sink.fit(schema)}
    stored = {name: _stored_name(told[name].note, name) for name in names}
    assert {name for name in names if stored[name] != name} == {
        name for name in names if any(name.startswith(limited) for limited in LIMITED[sink])
    }
    assert len(set(stored.values())) == len(names)
    assert {name: row[stored[name]] for name in names} == {
        name: 7 if name == key else 9 if name == "plain" else 3 for name in names
    }
    (keys,) = load.sink.keys(load.target, schema)
    assert (keys.schema.names, keys.to_pylist()) == (["id", key], [{"id": 1, key: 7}])
    gone = pa.record_batch([[1], [7]], names=["id", key])
    load.sequence += 1
    receipt = load.sink.erase(load.target, schema, load.epoch, load.sequence, [gone], "delete")
    assert receipt.rows_committed == 1
    assert world.read_all(load.target) == []


def _stored_name(note: str | None, name: str) -> str:
    return note.split("named '")[1].split("', for ")[0] if note and "named '" in note else name


@pytest.mark.parametrize("sink", list(WORLDS))
def test_a_source_may_have_columns_with_the_names_that_a_sink_uses_on_its_way(
    request: pytest.FixtureRequest, sink: str
) -> None:
    names = [name for name in INTERNAL if sink == "p" or name != "_INGEST_ORDER"]
    schema = pa.schema([("id", pa.int64()), *((name, pa.int64()) for name in names)])
    load = Load(WORLDS[sink](request), WriteMode.UPSERT, schema=schema, key=("id", names[0]), version=names[1])
    for version in (1, 2):
        values = [[1, 1], [5, 5], *([version, version - 1] for _ in names[1:])]
        load.commit(load.prepare(pa.record_batch(values, schema=schema), first=False))
    (row,) = load.world.read_all(load.target)
    assert {name: row[name] for name in names[1:]} == dict.fromkeys(names[1:], 2)


@pytest.mark.parametrize(
    ("sink", "kind", "most"),
    [
        ("p", pa.int16(), 1_596),
        ("s", pa.int16(), 1_996),
        ("m", pa.int8(), 1_013),
        ("m", pa.string(), 379),
        ("m", pa.float64(), 987),
        ("m", pa.decimal256(65, 30), 266),
    ],
)
def test_columns_that_are_too_many_are_refused_before_anything_is_read(
    request: pytest.FixtureRequest, sink: str, kind: pa.DataType, most: int
) -> None:
    opened: Sink = WORLDS[sink](request).open()
    fits = opened.fit(_columns(kind, most + 2))
    refused = [fit for fit in fits if fit.fidelity is Fidelity.REFUSED]
    assert [fit.column for fit in refused] == [f"c{most}", f"c{most + 1}"]
    assert "columns" in str(refused[0].note)
    with pytest.raises(SinkRejected, match=f"'c{most}', 'c{most + 1}' cannot be kept"):
        Load(WORLDS[sink](request), WriteMode.UPSERT, key=("c0",), version=None, schema=_columns(kind, most + 2))
    schema = _columns(kind, most)
    load = Load(WORLDS[sink](request), WriteMode.UPSERT, key=("c0",), version=None, schema=schema)
    row: dict[str, Any] = {"c0": 1 if kind != pa.string() else "1"}
    load.commit(load.prepare(pa.RecordBatch.from_pylist([row], schema=schema), first=True))


def _columns(kind: pa.DataType, count: int) -> pa.Schema:
    return pa.schema([(f"c{number}", kind) for number in range(count)])
