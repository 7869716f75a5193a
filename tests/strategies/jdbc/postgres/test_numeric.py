"""Binary numerics, decoded by column: equal to PostgreSQL's own text, for any value of any declared type."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_ray.registry import strategy_for
from ingest_ray.sdk.types import Endpoint
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.servers.postgres import Postgres
from ingest_strategies.jdbc.postgres.numeric import NumericOutOfRange, decode_numerics, numeric_text
from tests.searches import examples


@st.composite
def columns(draw: st.DrawFn) -> tuple[int, int, list[Decimal | None]]:
    """A precision, a scale, and values of it: of all magnitudes, with runs of zeros, at both limits."""
    precision = draw(st.integers(1, 38))
    scale = draw(st.integers(0, precision))
    most = 10**precision - 1
    number = st.one_of(
        st.integers(0, most),
        st.integers(0, 10**6).map(lambda n: min(n, most)),
        st.tuples(st.integers(1, 9999), st.integers(0, 37)).map(lambda pair: min(pair[0] * 10 ** pair[1], most)),
        st.sampled_from([0, 1, most, 10 ** (precision - 1)]),
    )
    signed = st.tuples(number, st.booleans()).map(lambda pair: -pair[0] if pair[1] else pair[0])
    value = signed.map(lambda n: Decimal(f"{n}E-{scale}"))
    return precision, scale, draw(st.lists(st.none() | value, min_size=1, max_size=40))


def sent_by(pg: Postgres, precision: int, scale: int, literals: list[str]) -> tuple[pa.Array, list[str | None]]:
    """These literals as `numeric_send` writes them, and as text."""
    rows = ", ".join(f"({index}, {literal})" for index, literal in enumerate(literals))
    found = pg.run(
        f"SELECT numeric_send(v), v::text FROM (SELECT i, v::numeric({precision}, {scale}) AS v"
        f" FROM (VALUES {rows}) AS t(i, v)) AS u ORDER BY i"
    )
    return pa.array([row[0] for row in found], pa.binary()), [row[1] for row in found]


def literal(value: Decimal | None) -> str:
    return "NULL::text" if value is None else f"'{value:f}'"


@settings(
    max_examples=examples(short=40, long=80), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(column=columns())
def test_any_value_of_any_precision_arrives_as_postgresql_has_it(
    pg: Postgres, column: tuple[int, int, list[Decimal | None]]
) -> None:
    precision, scale, values = column
    sent, texts = sent_by(pg, precision, scale, [literal(value) for value in values])
    target = pa.decimal128(precision, scale)
    decoded, special = decode_numerics(sent, target)
    decoded.validate(full=True)
    assert (decoded.type, special) == (target, None)
    assert decoded.to_pylist() == [None if text is None else Decimal(text) for text in texts]
    assert decoded.to_pylist() == values
    assert [None if one is None else numeric_text(one) for one in sent.to_pylist()] == texts
    part, _ = decode_numerics(sent.slice(1), target)  # an array that does not begin at its buffer's beginning
    assert part.to_pylist() == values[1:]


def test_nan_is_marked_and_its_neighbours_arrive(pg: Postgres) -> None:
    sent, _ = sent_by(pg, 10, 2, ["'NaN'", "'1.5'", "NULL", "'-2.25'", "'NaN'"])
    decoded, special = decode_numerics(sent, pa.decimal128(10, 2))
    assert decoded.to_pylist() == [None, Decimal("1.50"), None, Decimal("-2.25"), None]
    assert special is not None
    assert [bool(one) for one in special.to_pylist()] == [True, False, False, False, True]
    assert decode_numerics(pa.array([None, None], pa.binary()), pa.decimal128(10, 2))[0].null_count == 2


@pytest.mark.parametrize("text", ["1234.5", "0.001", "0.0000001", "100000", "1" + "0" * 60, "99999999999999999999.99"])
def test_a_value_beyond_the_declared_type_is_never_rounded(pg: Postgres, text: str) -> None:
    """A foreign table may deliver values outside its declared type."""
    sent = pa.array([pg.run(f"SELECT numeric_send('{text}'::numeric)")[0][0]], pa.binary())
    with pytest.raises(NumericOutOfRange):
        decode_numerics(sent, pa.decimal128(4, 2) if text != "1" + "0" * 60 else pa.decimal128(38, 2))


def by_text(pg: Postgres, make: Callable[..., Rehearsal], name: str, **policy: Any) -> Rehearsal:
    """The unit as a server without `numeric_send` would have it: ADBC delivers text, which is cast."""
    rehearsal = make(name, **policy)
    dataset = rehearsal.spec.dataset
    forms = dataset.facts["select"]
    assert isinstance(forms, dict)
    assert "sent" in forms.values()
    facts = {**dataset.facts, "select": {column: form for column, form in forms.items() if form != "sent"}}
    rehearsal.spec = rehearsal.spec.model_copy(update={"dataset": dataset.model_copy(update={"facts": facts})})
    return rehearsal


def test_both_paths_deliver_the_same_rows_and_the_same_rejects(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE DOMAIN amount AS numeric(10, 3)")
    pg.run(
        "CREATE TABLE t (id integer PRIMARY KEY, a numeric(15, 2), b numeric(38, 9), c amount, d numeric(3, 3), e numeric(20, 0),"
        " f numeric, ts timestamp)"
    )
    pg.run(
        "INSERT INTO t SELECT i, CASE WHEN i % 83 = 0 THEN 'NaN' WHEN i % 7 = 0 THEN NULL ELSE (i - 1000) / 7.0 END,"
        " (i - 900)::numeric * 10 ^ (i % 27)::numeric / 13, i / 3.0, i / 10000.0, i::numeric * 10 ^ (i % 16)::numeric, i / 7.0,"
        " CASE WHEN i % 61 = 0 THEN 'infinity' ELSE timestamp '2026-01-01' END FROM generate_series(1, 3000) i"
    )
    binary, text = pg_unit("t", rows_per_slice=700), by_text(pg, pg_unit, "t", rows_per_slice=700)
    outcomes = [one.run() for one in (binary, text)]
    rows = [sorted(outcome.rows, key=lambda row: row["id"]) for outcome in outcomes]
    rejects = [sorted((str(r.raw), r.reason, str(r.column)) for r in outcome.rejects) for outcome in outcomes]
    assert len(rows[0]) > 2900
    assert rows[0] == rows[1]
    assert rejects[0]
    assert rejects[0] == rejects[1]


def test_the_plan_shows_which_columns_are_decoded_from_the_binary_form(pg: Postgres) -> None:
    pg.run("CREATE TABLE t (id integer PRIMARY KEY, a numeric(15, 2), b numeric(50, 2), c numeric, d numeric(5, -2))")
    endpoint = Endpoint(endpoint_id="pg", template="jdbc.postgres", config={"url": pg.url})
    (dataset,) = strategy_for("jdbc.postgres").collect(endpoint)
    told = [column.name for column in dataset.columns if column.note and "binary form" in column.note]
    assert told == ["a"]
