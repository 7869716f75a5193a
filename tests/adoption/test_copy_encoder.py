"""Rows that machine code encodes for PostgreSQL, beside those of the driver: the same tables, value by value."""

import decimal
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_ray.sdk.errors import CommitUnknown, RowsRejected, SinkRejected, SinkUnavailable
from ingest_ray.sinks.databases.postgres import copy_encoder, wire_connections
from ingest_ray.sinks.databases.postgres.copy_encoder import CopyEncoder, is_encoded
from ingest_ray.sinks.databases.postgres.database import PostgresDatabase, PostgresSession, open_database
from ingest_ray.sinks.databases.postgres.login import plain_login
from ingest_ray.sinks.databases.postgres.wire_session import WireSession
from ingest_ray.sinks.databases.types.postgres import POSTGRES_TYPES
from ingest_ray.sinks.type_mapping import map_type
from ingest_ray.testing.servers.postgres import Postgres

DECIMALS = [
    (1, 0),
    (4, 0),
    (4, 4),
    (5, 3),
    (9, 2),
    (12, 5),
    (18, 0),
    (18, 18),
    (19, 1),
    (20, 7),
    (31, 30),
    (38, 0),
    (38, 10),
    (38, 38),
]
INT64 = st.integers(-(2**63), 2**63 - 1)
TIMES = st.integers(-210_866_803_200_000_000, 2**63 - 1)  # from 4713 BC, which is the first that the server has
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40)
VALUES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.int64(), INT64),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.date32(), st.integers(-2_440_588, 2_145_042_905)),
    (pa.time64("us"), st.integers(0, 86_400_000_000)),
    (pa.timestamp("us"), TIMES),
    (pa.timestamp("us", "UTC"), TIMES),
    (pa.string(), TEXTS),
    (pa.binary(), st.binary(max_size=40)),
    (pa.uuid(), st.binary(min_size=16, max_size=16)),
    *((pa.decimal128(p, s), st.integers(-(10**p) + 1, 10**p - 1)) for p, s in DECIMALS),
]
CONSTANTS = [
    (pa.field("run", pa.string()), pa.scalar("a run")),
    (pa.field("at", pa.timestamp("us", "UTC")), pa.scalar(datetime(2025, 1, 2, tzinfo=UTC), pa.timestamp("us", "UTC"))),
    (pa.field("now", pa.bool_()), pa.scalar(True)),
]


def array_of(kind: pa.DataType, values: list[Any]) -> pa.Array:
    if pa.types.is_decimal(kind):
        with decimal.localcontext(decimal.Context(prec=60)):
            return pa.array([None if v is None else decimal.Decimal(v).scaleb(-kind.scale) for v in values], kind)
    if pa.types.is_temporal(kind):
        return pa.array(values, pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    return pa.array(values, kind)


@st.composite
def batches(draw: st.DrawFn) -> pa.RecordBatch:
    """Also parts of larger arrays, whose values and validity bits begin somewhere."""
    rows, before, after = draw(st.integers(1, 30)), draw(st.integers(0, 9)), draw(st.integers(0, 3))
    arrays = []
    for kind, values in VALUES:
        item = draw(st.sampled_from([values, st.none() | values, st.none()]))
        size = before + rows + after
        arrays.append(array_of(kind, draw(st.lists(item, min_size=size, max_size=size))))
    names = [f"c{number}" for number in range(len(arrays))]
    return pa.RecordBatch.from_arrays(arrays, names).slice(before, rows)


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGOPTIONS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def sink(module_pg: Postgres) -> PostgresDatabase:
    return open_database(module_pg.url, None, None)


def make_table(sink: PostgresDatabase, name: str, schema: pa.Schema) -> None:
    kinds = ", ".join(f"{field.name} {map_type(field.type, POSTGRES_TYPES).sink_type}" for field in schema)
    with sink.transaction() as session:
        session.execute(f"drop table if exists {name}")
        session.execute(f"create table {name} ({kinds})")


def copied(sink: PostgresDatabase, name: str, rows: list[pa.RecordBatch], *, by_wire: bool) -> list[tuple[str, ...]]:
    """The texts of the table's rows after a COPY."""
    schema = rows[0].schema
    make_table(sink, name, pa.schema([*schema, *(field for field, _ in CONSTANTS)]))
    with sink.copying_transaction() if by_wire else sink.transaction() as session:
        assert isinstance(session, WireSession if by_wire else PostgresSession)
        reader = pa.RecordBatchReader.from_batches(schema, rows)
        count = sink.copy_rows(session, name, reader, CONSTANTS)
        assert count == sum(batch.num_rows for batch in rows)
    columns = ", ".join(f"{column}::text" for column in [*schema.names, *(field.name for field, _ in CONSTANTS)])
    with sink.transaction() as session:
        return sorted(session.execute(f"select {columns} from {name}"), key=repr)


@given(batch=batches())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_value_of_every_type_arrives_as_by_the_driver(sink: PostgresDatabase, batch: pa.RecordBatch) -> None:
    assert all(is_encoded(field.type) for field in batch.schema)
    rows = [batch, batch.slice(1)]
    assert copied(sink, "ours", rows, by_wire=True) == copied(sink, "theirs", rows, by_wire=False)


@given(batch=batches(), block_bytes=st.integers(1, 3_000), block_rows=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_rows_are_the_same_in_blocks_of_any_size(batch: pa.RecordBatch, block_bytes: int, block_rows: int) -> None:
    def encoded() -> bytes:
        return b"".join(bytes(block) for block in CopyEncoder(batch.schema, CONSTANTS).blocks(batch))

    whole = encoded()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copy_encoder, "BLOCK_BYTES", block_bytes)
        patch.setattr(copy_encoder, "BLOCK_ROWS", block_rows)
        assert encoded() == whole


@pytest.mark.parametrize(("precision", "scale"), DECIMALS)
def test_decimals_at_each_border_of_their_digits_and_words_arrive(
    sink: PostgresDatabase, precision: int, scale: int
) -> None:
    powers = [2**bits for bits in (31, 32, 33, 63, 64, 65, 95, 96, 97, 126)] + [10**digits for digits in range(39)]
    numbers = {sign * (power + step) for power in powers for step in (-1, 0, 1) for sign in (-1, 1)}
    fitting = sorted(number for number in numbers if abs(number) < 10**precision)
    rows = [pa.record_batch({"v": array_of(pa.decimal128(precision, scale), fitting)})]
    ours = copied(sink, "ours", rows, by_wire=True)
    with decimal.localcontext(decimal.Context(prec=60)):
        assert Counter(decimal.Decimal(row[0]).scaleb(scale) for row in ours) == Counter(map(decimal.Decimal, fitting))


def test_many_rows_and_a_value_of_many_megabytes_arrive(sink: PostgresDatabase) -> None:
    many = pa.record_batch({"id": pa.array(range(100_000)), "note": pa.array(["é" * 30] * 100_000)})
    large = pa.record_batch({"id": pa.array([-1, None]), "note": pa.array(["x" * 20_000_000, None])})
    make_table(sink, "large", pa.schema([*many.schema, *(field for field, _ in CONSTANTS)]))
    with sink.copying_transaction() as session:
        reader = pa.RecordBatchReader.from_batches(many.schema, [many, large, many])
        assert sink.copy_rows(session, "large", reader, CONSTANTS) == 200_002
    with sink.transaction() as session:
        found = session.execute("select count(*), count(id), sum(id)::bigint, sum(length(note))::bigint from large")
    assert found == [(200_002, 200_001, 9_999_900_000 - 1, 26_000_000)]


REFUSED = [
    (pa.array(["a", "b\0c"]), "text", RowsRejected),
    (pa.array([0, -(2**63)], pa.int64()).view(pa.timestamp("us")), "timestamp", RowsRejected),
    (pa.array([0, -(2**63) + copy_encoder.EPOCH_US], pa.int64()).view(pa.timestamp("us")), "timestamp", RowsRejected),
    (pa.array([0, -(2**31) + copy_encoder.EPOCH_DAYS], pa.int32()).view(pa.date32()), "date", RowsRejected),
    (pa.array([0, -(2**31)], pa.int32()).view(pa.date32()), "date", RowsRejected),
    (pa.array([0, 2**31 - 1], pa.int32()).view(pa.date32()), "date", RowsRejected),
    (pa.array([decimal.Decimal("1.00"), decimal.Decimal("999.99")], pa.decimal128(5, 2)), "numeric(4,2)", RowsRejected),
]


@pytest.mark.parametrize(("values", "kind", "error"), REFUSED)
def test_a_value_that_the_server_does_not_have_is_a_typed_error_and_nothing_of_its_transaction_stays(
    sink: PostgresDatabase, values: pa.Array, kind: str, error: type[Exception]
) -> None:
    with sink.transaction() as session:
        session.execute("drop table if exists refused")
        session.execute(f"create table refused (v {kind})")
    rows = pa.record_batch({"v": values})

    def copy(session: Any) -> None:
        session.execute("insert into refused values (null)")
        sink.copy_rows(session, "refused", pa.RecordBatchReader.from_batches(rows.schema, [rows]), [])

    with pytest.raises(error), sink.copying_transaction() as session:
        copy(session)
    with sink.copying_transaction() as session:
        assert session.execute("select count(*) from refused") == [(0,)]


def test_a_decimal_with_more_digits_than_its_type_is_refused() -> None:
    words = pa.py_buffer((10**6).to_bytes(16, "little"))
    rows = pa.record_batch({"v": pa.Array.from_buffers(pa.decimal128(4, 0), 1, [None, words])})
    with pytest.raises(copy_encoder.ValueOutOfRange, match="column 'v'"):
        list(CopyEncoder(rows.schema).blocks(rows))


def test_rows_that_end_with_an_error_leave_nothing(sink: PostgresDatabase) -> None:
    rows = pa.record_batch({"v": pa.array(range(50_000))})
    make_table(sink, "broken", rows.schema)

    def failing() -> Iterator[pa.RecordBatch]:
        yield rows
        raise SinkUnavailable("the rows ended")

    with pytest.raises(Exception, match="the rows ended"), sink.copying_transaction() as session:
        sink.copy_rows(session, "broken", pa.RecordBatchReader.from_batches(rows.schema, failing()), [])
    with sink.transaction() as session:
        assert session.execute("select count(*) from broken") == [(0,)]


def test_a_connection_that_is_lost_is_an_error_of_its_own_at_each_step(sink: PostgresDatabase) -> None:
    rows = pa.record_batch({"v": pa.array(range(100_000))})
    make_table(sink, "lost", rows.schema)

    def end(session: Any) -> None:
        ((number,),) = session.execute("select pg_backend_pid()")
        with sink.transaction() as other:
            other.execute(f"select pg_terminate_backend({number}, 10000)")

    def copy(session: Any) -> None:
        sink.copy_rows(session, "lost", pa.RecordBatchReader.from_batches(rows.schema, [rows]), [])

    def perform(*steps: Callable[[Any], Any]) -> None:
        with sink.copying_transaction() as session:
            for step in steps:
                step(session)

    with pytest.raises(SinkUnavailable):
        perform(end, copy)
    with pytest.raises(SinkUnavailable):
        perform(copy, end, lambda session: session.execute("select 1"))
    with pytest.raises(CommitUnknown):
        perform(copy, end)
    with sink.copying_transaction() as session:
        idle = session
    end_idle = idle._wire.execute("select pg_backend_pid()")[0]  # type: ignore[attr-defined]
    with sink.transaction() as other:
        other.execute(f"select pg_terminate_backend({end_idle[0][0]}, 10000)")
    with sink.copying_transaction() as session:  # the lost one is not used
        assert session is not idle
        assert session.execute("select count(*) from lost") == [(0,)]


def test_parameters_and_counts_are_those_of_the_driver(sink: PostgresDatabase) -> None:
    with sink.copying_transaction() as session:
        assert isinstance(session, WireSession)
        session.execute("create temporary table t (a text, b bigint, c boolean) on commit drop")
        for values in (("é'\"$1", 2**63 - 1), ("", -1)):
            session.execute("insert into t values ($1, $2, true)", *values)
        assert session.execute("select * from t where b = $1", -1) == [("", -1, True)]
        assert session.execute_update("update t set c = null where a <> $1", "") == 1
        assert session.execute("select a, c from t where c is null") == [("é'\"$1", None)]
        assert session.execute_update("delete from t") == 2
        with pytest.raises(SinkRejected, match=re.escape("nowhere")):
            session.execute("select * from nowhere")
        with pytest.raises(SinkRejected):
            session.execute("select 1")
        session._wire.execute("rollback")
        session._wire.execute("begin")


def test_a_transaction_that_the_server_undid_is_not_taken_for_a_commit(sink: PostgresDatabase) -> None:
    with pytest.raises(SinkUnavailable, match="ROLLBACK"), sink.copying_transaction() as session:
        with pytest.raises(SinkRejected):
            session.execute("select * from nowhere")


@pytest.mark.parametrize(
    ("url", "is_plain"),
    [
        ("postgresql://u:p@host:6432/db", True),
        ("postgresql://u:p@host/db?sslmode=require", True),
        ("postgresql://u@/db?host=/tmp/sockets", True),
        ("postgresql://u@a,b/db", False),
        ("postgresql:///db", False),
        ("postgresql://u@host/db?sslcert=/c", False),
        ("postgresql://u@host/db?sslmode=verify-full", False),
        ("postgresql://u@host/db?sslmode=allow", False),
        ("postgresql://u@host/db?options=-c%20x%3D1", False),
    ],
)
def test_only_a_connection_that_says_all_is_made_without_the_driver(
    url: str, is_plain: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (plain_login(url) is not None) is is_plain
    monkeypatch.setenv("PGSERVICE", "x")
    assert plain_login(url) is None


def test_where_the_login_is_refused_the_driver_connects(
    sink: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = plain_login(sink._url)
    assert login is not None
    monkeypatch.setattr(wire_connections, "plain_login", lambda _: {**login, "unix_sock": "/nowhere"})
    other = open_database(sink._url, None, None)
    with other.copying_transaction() as session:
        assert isinstance(session, PostgresSession)
