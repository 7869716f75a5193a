"""Rows of PostgreSQL that are decoded here: the same as ADBC's for every type, wherever the stream is cut, and whatever ends it."""

import itertools
import struct
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pg8000.exceptions import InterfaceError

from ingest_ray.sdk.errors import SourceError, SourceUnavailable
from ingest_ray.sdk.row_hash import plain
from ingest_ray.testing.servers.postgres import Postgres
from ingest_strategies.jdbc.postgres import copy_session
from ingest_strategies.jdbc.postgres.arrays import NoArray, decode_arrays
from ingest_strategies.jdbc.postgres.copy_kernel import WIDEST
from ingest_strategies.jdbc.postgres.copy_rows import ARRAYS, HEADER, SIGNATURE, TYPES, CopyRows, MalformedCopy
from ingest_strategies.jdbc.postgres.dialect import Postgres as Dialect
from ingest_strategies.jdbc.postgres.numeric import decode_numerics
from ingest_strategies.jdbc.postgres.page import CopiedType
from ingest_strategies.jdbc.postgres.session import PostgresSession
from ingest_strategies.jdbc.postgres.wire import ReadingWire, UnknownColumnType
from ingest_strategies.jdbc.values.convert import storage

COLUMNS = {
    16: ("boolean", ["true", "false"]),
    17: ("bytea", ["''", "'\\x00ff'", "decode(repeat('ab', 3000), 'hex')"]),
    18: ('"char"', ["'x'", "''"]),
    19: ("name", ["'a'", "'Ж'"]),
    20: ("bigint", ["0", "-1", "9223372036854775807", "-9223372036854775808", "4294967296", "2147483648"]),
    21: ("smallint", ["0", "-1", "32767", "-32768"]),
    23: ("integer", ["0", "-1", "2147483647", "-2147483648"]),
    25: ("text", ["''", "'a'", "'漢字 \U0001f600'", "repeat('long ', 20000)"]),
    114: ("json", ["'null'", "'{\"a\": [1, 2.50]}'"]),
    700: ("real", ["0", "'-0'", "'NaN'", "'Infinity'", "1.5e-45", "3.4028235e38"]),
    701: ("double precision", ["0", "'-0'", "'NaN'", "'-Infinity'", "5e-324", "1.7976931348623157e308"]),
    1042: ("character(5)", ["'a'", "'ab   '", "'漢'"]),
    1043: ("character varying(9)", ["''", "'abc'"]),
    1082: ("date", ["'2024-02-29'", "'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'"]),
    1083: ("time", ["'00:00'", "'24:00'", "'12:34:56.789012'"]),
    1114: (
        "timestamp",
        [
            "'2024-02-29 12:00:00.000001'",
            "'infinity'",
            "'-infinity'",
            "'4713-01-01 BC'",
            "'294276-12-31 23:59:59.999999'",
        ],
    ),
    1184: ("timestamptz", ["'2024-02-29 12:00+02'", "'infinity'", "'-infinity'", "'4713-01-02 BC'", "'294276-12-30'"]),
    2950: ("uuid", ["'00112233-4455-6677-8899-aabbccddeeff'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"]),
    3802: ("jsonb", ["'null'", "'{\"a\": [1, 2.50]}'", "'\"漢\"'"]),
}
ROWS = 40


def wire_of(pg: Postgres, user: str = "postgres") -> ReadingWire:
    socket = str(pg.folder / ".s.PGSQL.5432")
    return ReadingWire(
        user=user, database=pg.name, unix_sock=socket, ssl_context=False, startup_params={"client_encoding": "UTF8"}
    )


@pytest.fixture(scope="module")
def everything(module_pg: Postgres) -> Postgres:
    """A row of every value of every type, NULL between them."""
    names = ", ".join(f"c{number} {kind}" for number, (kind, _) in COLUMNS.items())
    module_pg.run(f"CREATE TABLE everything (id int, {names})")
    for row in range(ROWS):
        values = [
            "NULL" if (row + place) % 5 == 0 else f"({found[(row // 2 + place) % len(found)]})::{kind}"
            for place, (kind, found) in enumerate(COLUMNS.values())
        ]
        module_pg.run(f"INSERT INTO everything VALUES ({row}, {', '.join(values)})")
    return module_pg


QUERY = f"SELECT id AS c0, {', '.join(f'c{number} AS c{place}' for place, number in enumerate(COLUMNS, 1))} FROM everything ORDER BY id"


def through_adbc(pg: Postgres, query: str) -> pa.Table:
    import adbc_driver_postgresql.dbapi as adbc

    with adbc.connect(pg.url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetch_arrow_table()


def assert_same(found: list[pa.RecordBatch], wanted: pa.Table) -> None:
    table = pa.Table.from_batches(found)
    assert table.column_names == wanted.column_names
    for name in wanted.column_names:
        one, two = storage(table[name].combine_chunks()), storage(wanted[name].combine_chunks())
        item = one.type.value_type if pa.types.is_list(one.type) else one.type
        if not pa.types.is_time64(item):  # of the time 24:00, which is recognised later
            one.validate(full=True)
        assert one.type == two.type, name
        assert plain(one).equals(plain(two)), (name, one, two)


def test_every_type_of_the_decoder_is_here() -> None:
    assert COLUMNS.keys() == TYPES.keys()


@pytest.mark.parametrize("page_bytes", [1, 5_000, 2**20, 2**40])
def test_all_types_arrive_as_through_adbc(everything: Postgres, page_bytes: int) -> None:
    wire = wire_of(everything)
    found = list(wire.copy(QUERY, page_bytes))
    assert (len(found) == 1) == (page_bytes > 2**20) or page_bytes == 2**20
    assert max(batch.num_rows for batch in found) > 1 or page_bytes == 1
    assert_same(found, through_adbc(everything, QUERY))
    assert wire.rows("SELECT 1, NULL, 'x', 2.5, true, 1.5::float8") == [(1, None, "x", "2.5", True, 1.5)]
    wire.close()


def array_sql(number: int) -> str:
    """Arrays of a type's values: none, one, all, with NULLs, of two dimensions, and NULL."""
    kind, found = COLUMNS[number]
    values = [f"({value})::{kind}" for value in found]
    arrays = ["NULL", "'{}'", f"ARRAY[{values[-1]}]", f"ARRAY[{', '.join(values)}]", f"ARRAY[NULL, {values[0]}, NULL]"]
    arrays += ["'{NULL}'", f"ARRAY[[{values[0]}, {values[-1]}], [NULL, {values[0]}]]"]
    listed = " ".join(f"WHEN {place} THEN ({array})::{kind}[]" for place, array in enumerate(arrays))
    return f"CASE (n + {number}) % {len(arrays)} {listed} END"


ARRAY_QUERY = (
    f"SELECT n AS c0, {', '.join(f'{array_sql(number)} AS c{place}' for place, number in enumerate(ARRAYS.values(), 1))}"
    " FROM generate_series(0, 30) n"
)


@pytest.mark.parametrize("page_bytes", [1, 400_000, 2**40])
def test_arrays_of_all_types_arrive_as_through_adbc(module_pg: Postgres, page_bytes: int) -> None:
    wire = wire_of(module_pg)
    assert_same(list(wire.copy(ARRAY_QUERY, page_bytes)), through_adbc(module_pg, ARRAY_QUERY))
    wire.close()


def array_bytes(*items: bytes | None, dimensions: int = 1, count: int | None = None) -> bytes:
    head = (
        struct.pack("!iii", dimensions, 0, 23)
        + struct.pack("!ii", len(items) if count is None else count, 1) * dimensions
    )
    return head + b"".join(struct.pack("!i", -1) if one is None else struct.pack("!i", len(one)) + one for one in items)


def test_what_is_no_array_is_an_error_and_never_another_value() -> None:
    good = array_bytes(struct.pack("!i", 7), None, struct.pack("!i", -7))
    kind = TYPES[23]
    found = decode_arrays(pa.array([good, None, array_bytes(dimensions=0)], pa.binary()), kind)
    assert found.to_pylist() == [[7, None, -7], None, []]
    wrong = [good[:length] for length in range(len(good))] + [good + b"\0"]
    wrong += [
        array_bytes(b"12345"),
        array_bytes(b""),
        array_bytes(dimensions=7),
        array_bytes(count=-1),
        array_bytes(count=2**31 - 1),
    ]
    wrong += [struct.pack("!iii", -1, 0, 23), array_bytes(dimensions=2, count=2**16)]
    for content in wrong:
        with pytest.raises(NoArray):
            decode_arrays(pa.array([good, content], pa.binary()), kind)


def test_a_query_without_rows_and_one_without_columns(everything: Postgres) -> None:
    wire = wire_of(everything)
    assert list(wire.copy(f"SELECT * FROM ({QUERY}) q WHERE c0 < 0", 2**20)) == []
    with pytest.raises(UnknownColumnType):
        next(wire.copy("SELECT ARRAY[point '(1, 2)']", 2**20))
    assert wire.rows("SELECT 1") == [(1,)]
    wire.close()


SMALL = (
    "SELECT id AS c0, c25 AS c1, c20 AS c2, c16 AS c3, c3802 AS c4, c2950 AS c5, (id * 1001.5 - 7000)::numeric(9, 2) AS c6"
    " FROM everything WHERE id BETWEEN 5 AND 9 ORDER BY id"
)
KINDS = [*(TYPES[number] for number in (23, 25, 20, 16, 3802, 2950)), CopiedType(pa.decimal128(9, 2), "decimal")]


@pytest.fixture(scope="module")
def stream(everything: Postgres) -> bytes:
    """What the server sends for the rows of `SMALL`, with short texts, from the first message of rows on."""
    wire = wire_of(everything)
    received = bytearray()
    receive = wire._receive

    def record(room: memoryview) -> int:
        count = receive(room)
        received.extend(room[:count])
        return count

    wire._receive = record  # type: ignore[method-assign]
    assert len(list(wire.copy(SMALL.replace("c25 AS", "left(c25, 20) AS"), 2**20))) == 1
    wire.close()
    return bytes(received)


def decoded(chunks: list[bytes], page_bytes: int = 2**20) -> tuple[list[pa.RecordBatch], list[int], bytes]:
    """The batches, the letters of other messages, and what was left."""
    letters: list[int] = []
    waiting = [chunk for chunk in chunks if chunk]

    def receive(room: memoryview) -> int:
        if not waiting:
            return 0
        size = min(len(room), len(waiting[0]))
        room[:size] = waiting[0][:size]
        waiting[0] = waiting[0][size:]
        if not waiting[0]:
            del waiting[0]
        return size

    rows = CopyRows(KINDS, page_bytes, receive, lambda letter, _: letters.append(letter))
    batches = list(rows.batches())
    return batches, letters, rows.rest() + b"".join(waiting)


def test_borders_of_chunks_at_every_byte_change_nothing(stream: bytes) -> None:
    wanted, letters, rest = decoded([stream])
    assert (letters, sum(batch.num_rows for batch in wanted)) == ([ord("c")], 5)
    for page_bytes in (2**20, 40):
        for cut in range(len(stream) - len(rest) + 1):
            found, also, left = decoded([stream[:cut], stream[cut:]], page_bytes)
            assert pa.Table.from_batches(found).equals(pa.Table.from_batches(wanted)), cut
            assert (also, left) == (letters, rest)
    found, _, left = decoded([stream[at : at + 1] for at in range(len(stream))])
    assert pa.Table.from_batches(found).equals(pa.Table.from_batches(wanted))
    assert left == rest


def payload_of(stream: bytes) -> bytes:
    parts, at = [], 0
    while stream[at : at + 1] == b"d":
        (size,) = struct.unpack_from("!i", stream, at + 1)
        parts.append(stream[at + 5 : at + 1 + size])
        at += 1 + size
    return b"".join(parts)


def message(letter: bytes, content: bytes) -> bytes:
    return letter + struct.pack("!i", len(content) + 4) + content


@settings(max_examples=60, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 500), max_size=30),
    notices=st.sets(st.integers(0, 30)),
    chunk=st.integers(1, 600),
    page=st.sampled_from([1, 60, 2**20]),
)
def test_messages_may_be_cut_anywhere_with_others_between_them(
    stream: bytes, cuts: list[int], notices: set[int], chunk: int, page: int
) -> None:
    payload = payload_of(stream)
    borders = [0, *sorted(min(cut, len(payload)) for cut in cuts), len(payload)]
    sent = b""
    for number, (begin, end) in enumerate(itertools.pairwise(borders)):
        sent += message(b"N", b"SNOTICE\0\0") if number in notices else b""
        sent += message(b"d", payload[begin:end])
    sent += message(b"c", b"")
    wanted, _, _ = decoded([stream])
    found, letters, _ = decoded([sent[at : at + chunk] for at in range(0, len(sent), chunk)], page)
    assert pa.Table.from_batches(found).equals(pa.Table.from_batches(wanted))
    assert letters[-1] == ord("c")


def test_a_stream_that_ends_or_lies_is_an_error_and_never_the_end_of_the_rows(stream: bytes) -> None:
    payload = payload_of(stream)
    for cut in range(HEADER, len(payload)):
        with pytest.raises(MalformedCopy):
            decoded([message(b"d", payload[:cut]) + message(b"c", b"")])
    for cut in range(0, len(stream) - 20, 7):
        with pytest.raises(ConnectionError):
            decoded([stream[:cut]])
    for content in (
        b"",
        payload[:-2] + b"\x00\x05",
        payload + b"\x00",
        b"x" + payload[1:],
        payload[:11] + b"\1\0\0\0" + payload[15:],
    ):
        with pytest.raises(MalformedCopy):
            decoded([message(b"d", content) + message(b"c", b"")])
    first = HEADER + 2
    for length in (-2, -(2**31), 3, 5):  # of a value of four bytes
        broken = payload[:first] + struct.pack("!i", length) + payload[first + 4 :]
        with pytest.raises((MalformedCopy, ConnectionError)):
            decoded([message(b"d", broken) + message(b"c", b"")])
    with pytest.raises(MalformedCopy):
        decoded([b"d\0\0\0\1" + payload])


# --- numerics


def decimals_of(precision: int, scale: int) -> list[str]:
    """The edges of the type, and others across all sizes."""
    most = 10**precision - 1
    units = {0, 1, 9, 10, 99, 100, 9_999, 10_000, 10_001, 99_990_000, 10**8, 123_456_789, most, most // 3, most - 1}
    units |= {10**power + extra for power in range(precision) for extra in (-1, 0, 7)}
    return [f"{sign}{unit}e-{scale}" for unit in sorted(units) if 0 <= unit <= most for sign in ("", "-")]


@pytest.mark.parametrize(
    ("precision", "scale"),
    [(1, 0), (1, 1), (4, 2), (5, 3), (9, 8), (15, 2), (18, 0), (18, 1), (18, 4), (18, 18), (19, 2), (38, 0), (38, 37)],
)
def test_numerics_are_decimals_and_the_same_as_by_arrow(module_pg: Postgres, precision: int, scale: int) -> None:
    texts = decimals_of(precision, scale)
    kind = f"numeric({precision}, {scale})"
    values = ", ".join(f"({row}, '{text}'::{kind})" for row, text in enumerate(texts))
    rows = f"(VALUES {values}, ({len(texts)}, NULL)) v (id, n)"
    target = pa.decimal128(precision, scale)
    wire = wire_of(module_pg)
    for page_bytes in (300, 2**20):
        found = list(wire.copy(f"SELECT id AS c0, n::{kind} AS c1 FROM {rows} ORDER BY id", page_bytes))
        arrays = [batch.column(1) for batch in found]
        assert arrays[0].type == target
        assert any(array.type == pa.binary() for array in arrays) == (precision > WIDEST)
        decoded = [array if array.type == target else decode_numerics(array, target)[0] for array in arrays]
        for array in decoded:
            array.validate(full=True)
        assert [value.as_py() for array in decoded for value in array] == [*map(Decimal, texts), None]
    wire.close()


def test_a_value_that_no_decimal_holds_changes_the_form_of_its_column_only(module_pg: Postgres) -> None:
    odd = "(CASE WHEN n IN (700, 900) THEN 'NaN'::numeric ELSE n END)::numeric(9, 2)"
    query = f"SELECT n AS c0, {odd} AS c1, n::numeric(9, 2) AS c2, n::text AS c3 FROM generate_series(1, 1000) n"
    wire = wire_of(module_pg)
    found = list(wire.copy(query, 2**20))
    assert [(batch.num_rows, str(batch.column(1).type)) for batch in found] == [
        (699, "decimal128(9, 2)"),
        (301, "binary"),
    ]
    assert [row for batch in found for row in batch.column(0).to_pylist()] == list(range(1, 1001))
    assert [row for batch in found for row in batch.column(2).to_pylist()] == list(range(1, 1001))
    assert [row for batch in found for row in batch.column(3).to_pylist()] == [str(n) for n in range(1, 1001)]
    without_type = list(wire.copy("SELECT 1.5 AS c0, 1.25::numeric(2, -1) AS c1, 0.001::numeric(2, 3) AS c2", 2**20))
    assert {str(column.type) for column in without_type[0].columns} == {"binary"}
    wire.close()


def test_broken_numerics_are_never_decoded() -> None:
    """As they would be of a source that is not PostgreSQL: the column keeps its form and Arrow's decoder judges it."""
    whole = struct.pack("!hhHh", 2, 0, 0, 2) + struct.pack("!hh", 12, 3400)
    for sent in (
        b"",
        whole[:-1],
        whole[:6],
        whole + b"\0\0",
        struct.pack("!hhHhh", 1, -3, 0, 0, 5),
        whole[:4] + b"\xc0\0",
    ):
        row = struct.pack("!hi", 1, len(sent)) + sent
        stream = message(b"d", SIGNATURE + bytes(8) + row + b"\xff\xff") + message(b"c", b"")
        waiting = [stream]

        def receive(room: memoryview, waiting: list[bytes] = waiting) -> int:
            room[: len(waiting[0])] = waiting[0]
            return len(waiting.pop())

        (batch,) = CopyRows([CopiedType(pa.decimal128(9, 2), "decimal")], 2**20, receive, lambda *_: None).batches()
        assert batch.column(0).to_pylist() == [sent]


def test_texts_of_very_different_lengths_share_pages(module_pg: Postgres) -> None:
    """A page begins with room that one long text exceeds; several columns may need more at once."""
    parts = ", ".join(
        f"repeat('{letter}', (n * {step}) % 9000) AS c{index}"
        for index, (letter, step) in enumerate((("a", 1), ("b", 701), ("漢", 997)))
    )
    query = f"SELECT {parts} FROM generate_series(1, 300) n"
    wire = wire_of(module_pg)
    wanted = through_adbc(module_pg, query)
    for page_bytes in (1, 2_000, 50_000, 2**22):
        found = list(wire.copy(query, page_bytes))
        assert_same(found, wanted)
        assert all(batch.num_rows == 1 or batch.nbytes <= page_bytes + 1_000 for batch in found)
    wire.close()


# --- as the session of a reader


@pytest.fixture
def decoding(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every table counts as large; the sessions that were opened by the decoder."""
    opened: list[Any] = []
    connect = copy_session.CopySession._connect

    def noted(session: Any) -> Any:
        opened.append(session)
        return connect(session)

    monkeypatch.setattr(copy_session, "LARGE_BYTES", 0)
    monkeypatch.setattr(copy_session.CopySession, "_connect", noted)
    return opened


def test_slices_are_read_as_through_adbc(
    everything: Postgres, decoding: list[Any], monkeypatch: pytest.MonkeyPatch, pg_unit_of: Callable[..., Any]
) -> None:
    in_python = [
        f"CASE WHEN c{n} > '9999-12-31' AND isfinite(c{n}) OR c{n} < '0001-01-01' AND isfinite(c{n}) THEN NULL ELSE c{n} END AS c{n}"
        for n in (1082, 1114, 1184)
    ]
    rest = ", ".join(f"c{number}" for number in COLUMNS if number not in (1082, 1114, 1184))
    numerics = [
        "(CASE WHEN id % 7 = 3 THEN 'NaN'::numeric WHEN id % 5 > 0 THEN id * 1.25 END)::numeric(9, 2) AS odd",
        "(CASE WHEN id % 9 = 4 THEN 10::numeric ^ 25 ELSE 1 END * id / 3)::numeric(38, 10) AS wide",
        "(id - 17)::numeric(18, 3) AS plain",
        "CASE id % 5 WHEN 1 THEN ARRAY[id, NULL] WHEN 2 THEN '{}' WHEN 3 THEN ARRAY[[1, 2]] WHEN 4 THEN '[0:1]={1,2}' END::int[] AS numbers",
        "ARRAY[id * 1.5, NULL]::numeric(9, 2)[] AS decimals",
        "ARRAY['10.0.0.1/8'::inet, NULL] AS addresses",
        "ARRAY['new'::mood, NULL] AS moods",
        "CASE WHEN id % 3 > 0 THEN 'new'::mood END AS mood",
        "id * interval '1 month 2 days 3.5 seconds' AS span",
        "ARRAY[timestamp '2024-02-29 12:00:00.5', CASE WHEN id % 11 = 4 THEN 'infinity'::timestamp END] AS times",
    ]
    everything.run("CREATE TYPE mood AS ENUM ('new', 'old')")
    columns = ", ".join([*in_python, rest, *numerics])
    everything.run(f"CREATE TABLE modest AS SELECT id, {columns} FROM everything")
    own = pg_unit_of(everything, "modest").run()
    assert decoding
    monkeypatch.setattr(copy_session, "LARGE_BYTES", 2**60)
    decoding.clear()
    other = pg_unit_of(everything, "modest").run()
    assert not decoding
    assert own.rejects == other.rejects
    assert len(own.rejects) > 5
    assert repr(own.rows) == repr(other.rows)


@pytest.fixture
def pg_unit_of() -> Callable[..., Any]:
    from ingest_ray.sdk.types import Endpoint, RunMode
    from tests.strategies.jdbc.conftest import rehearsal

    def make(pg: Postgres, name: str, **config: Any) -> Any:
        endpoint = Endpoint(endpoint_id="pg", template="jdbc.postgres", config={"url": pg.url, **config})
        return rehearsal(endpoint, f"public.{name}", 10, RunMode.FULL)

    return make


def reading(pg: Postgres, **config: Any) -> Any:
    from ingest_ray.sdk.types import Endpoint, UnitConfig, UnitSpec
    from ingest_strategies.jdbc.templates import postgres

    endpoint = Endpoint(endpoint_id="pg", template="jdbc.postgres", config={"url": pg.url, **config})
    dataset = next(found for found in postgres.collect(endpoint) if found.name == "public.t")
    return Dialect().open_reader(
        UnitSpec(
            endpoint=endpoint, dataset=dataset, config=UnitConfig(endpoint_id="pg", unit_id="public.t", sink_id="s")
        )
    )


OPTIONS = {"adbc.postgresql.batch_size_hint_bytes": "4096"}


def test_an_error_amid_the_rows_is_the_servers_and_the_session_goes_on(pg: Postgres, decoding: list[Any]) -> None:
    pg.run("CREATE TABLE t (id int)")
    with reading(pg) as session:
        with pytest.raises(SourceError, match="division by zero"):
            list(session.batches("SELECT 1000 / (1500 - n) AS c0 FROM generate_series(1, 3000) n", OPTIONS))
        assert session.rows("SELECT count(*) FROM t") == [(0,)]
    assert decoding


def test_a_backend_that_is_ended_amid_the_rows_is_a_source_that_went_away(pg: Postgres, decoding: list[Any]) -> None:
    pg.run("CREATE TABLE t (id int)")
    with reading(pg) as session:
        session.begin()
        (pid,) = session.rows("SELECT pg_backend_pid()")[0]
        batches = session.batches("SELECT n AS c0 FROM generate_series(1, 30000000) n", OPTIONS)
        next(batches)
        pg.run(f"SELECT pg_terminate_backend({pid})")
        with pytest.raises(SourceUnavailable, match=r"administrator|closed the connection|reset"):
            for _ in batches:
                pass


def test_a_statement_that_is_given_up_is_cancelled(pg: Postgres, decoding: list[Any]) -> None:
    pg.run("CREATE TABLE t (id int)")
    with reading(pg) as session:
        session.begin()
        batches = session.batches("SELECT n AS c0 FROM generate_series(1, 30000000) n", OPTIONS)
        next(batches)
        batches.close()
    deadline = time.monotonic() + 60
    while pg.run(
        f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{pg.name}' AND query LIKE '%generate_series(1, 30000000)%' AND pid <> pg_backend_pid()"
    )[0][0]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_only_libpq_can_do_is_left_to_it(
    pg: Postgres, decoding: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pg.run("CREATE TABLE t (id int)")
    for change in ({"options": "-c work_mem=8MB"}, {"target_session_attrs": "any", "sslcert": "/nowhere.crt"}):
        with reading(pg, **change) as session:
            assert session.rows("SELECT 1::bigint") == [(1,)]
    monkeypatch.setenv("PGSSLMODE", "prefer")
    with reading(pg):
        pass
    monkeypatch.delenv("PGSSLMODE")
    pg.run("CREATE DOMAIN positive AS int CHECK (value > 0)")
    pg.run("ALTER TABLE t ADD COLUMN l positive[]")
    with reading(pg):
        pass
    assert decoding == []


def test_a_connection_that_cannot_be_made_here_is_made_by_libpq(
    pg: Postgres, decoding: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Any) -> None:
        raise InterfaceError("an authentication that is not known")

    pg.run("CREATE TABLE t (id int)")
    monkeypatch.setattr(copy_session.CopySession, "_connect", refuse)
    with reading(pg) as session:
        assert type(session) is PostgresSession
        assert session.rows("SELECT 1::bigint") == [(1,)]
