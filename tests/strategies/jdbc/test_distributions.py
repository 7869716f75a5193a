"""Section B of the conformance list: every row is in exactly one slice, however its key is distributed."""

from collections import Counter
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError

from ingest_ray.core import planning
from ingest_ray.sdk.types import RunMode
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.servers.postgres import Postgres, SqliteMaker
from ingest_strategies.jdbc.postgres.dialect import Postgres as PostgresDialect
from ingest_strategies.jdbc.reader import source_of
from ingest_strategies.jdbc.table_view import TableView

UUID = "md5(i::text)::uuid"
POSTGRES: dict[str, tuple[str, str]] = {
    "dense": ("bigint", "SELECT i FROM generate_series(1, 95) i"),
    "sparse": ("bigint", "SELECT i * i * 1000 FROM generate_series(1, 95) i"),
    "one_far_away": ("bigint", "SELECT CASE i WHEN 95 THEN 1000000000 ELSE i END FROM generate_series(1, 95) i"),
    "single_row": ("integer", "SELECT 7"),
    "empty": ("integer", "SELECT 1 WHERE false"),
    "negative": ("integer", "SELECT i - 50 FROM generate_series(1, 95) i"),
    "smallint": ("smallint", "SELECT i - 32769 FROM generate_series(1, 95) i"),
    "int64_limits": (
        "bigint",
        "VALUES (-9223372036854775808), (-9223372036854775807), (-1), (0), (9223372036854775806), (9223372036854775807)",
    ),
    "decimal": ("numeric(20,5)", "SELECT i / 7.0 FROM generate_series(1, 95) i"),
    "decimal_with_nan": ("numeric", "SELECT 'NaN'::numeric UNION ALL SELECT i / 7.0 FROM generate_series(1, 60) i"),
    "float": ("double precision", "SELECT i / 7.0 FROM generate_series(1, 95) i UNION ALL SELECT 'Infinity'"),
    "text": ("text", "SELECT 'k' || i FROM generate_series(1, 95) i"),
    "text_with_quotes": ("text", "SELECT chr(39) || i || '\"; DROP TABLE t; --\\' FROM generate_series(1, 95) i"),
    "char_with_blanks": ("char(8)", "SELECT 'k' || i FROM generate_series(1, 95) i"),
    "uuid": ("uuid", f"SELECT {UUID} FROM generate_series(1, 95) i"),
    "date": ("date", "SELECT date '1999-12-01' + i FROM generate_series(1, 95) i UNION ALL SELECT '-infinity'"),
    "timestamp": ("timestamp", "SELECT timestamp '1999-12-01' + i * interval '7 us' FROM generate_series(1, 95) i"),
    "timestamptz": (
        "timestamptz",
        "SELECT timestamptz '2026-10-25 00:00+00' + i * interval '5 min' FROM generate_series(1, 95) i"
        " UNION ALL SELECT 'infinity' UNION ALL SELECT '0044-03-15 BC'",
    ),
    "bytea": ("bytea", "SELECT decode(md5(i::text), 'hex') FROM generate_series(1, 95) i"),
}


def keys(rehearsal: Rehearsal) -> tuple[Counter[Any], int]:
    outcome = rehearsal.run()
    return Counter(row["n"] for row in outcome.rows), len(outcome.slices)


@pytest.mark.parametrize("name", POSTGRES)
def test_b9_every_postgres_row_is_in_one_slice(name: str, pg: Postgres, pg_unit: Any) -> None:
    kind, rows = POSTGRES[name]
    pg.run(f"CREATE TABLE t (k {kind} PRIMARY KEY, n serial)")
    pg.run(f"INSERT INTO t (k) {rows}")
    pg.run("ANALYZE t")
    count = pg.run("SELECT count(*) FROM t")[0][0]
    rehearsal = pg_unit("t", columns=("n",))
    counts, slices = keys(rehearsal)
    assert counts == Counter(range(1, count + 1))
    assert slices >= count / 10
    assert rehearsal.outcome.scopes[0].axis.kind == "key"


def collations(pg: Postgres) -> list[str]:
    """The collations of this build of the server; ICU's exist only where it was built with ICU."""
    candidates = ["C", "C.utf8", "pg_unicode_fast", "en_US.utf8", "de_DE.utf8"]
    names = {row[0] for row in pg.run("SELECT collname FROM pg_collation WHERE collprovider <> 'i'")}
    try:
        pg.run("CREATE COLLATION insensitive (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    except DatabaseError:
        return [name for name in candidates if name in names]
    return [*(name for name in candidates if name in names), "insensitive", "en-x-icu", "tr-x-icu"]


WORDS = [
    "i",
    "ı",
    "İ",
    "é",
    "e",
    "z",
    "Ä",
    "a b",
    "a ",
    "ß",
    "ss",
    "_",
    "-",
    "~",
    "10",
    "9",
    "Zz",
    "ä b",
    "日本",
    "\U0001f600",
]


def test_b11_keys_under_any_collation(pg: Postgres, pg_unit: Any) -> None:
    for index, collation in enumerate(collations(pg)):
        table = f"t{index}"
        pg.run(f'CREATE TABLE {table} (k text COLLATE "{collation}" PRIMARY KEY, n serial)')
        for word in WORDS:
            pg.run(f"INSERT INTO {table} (k) VALUES ('{word}') ON CONFLICT DO NOTHING")
        pg.run(
            f"INSERT INTO {table} (k) SELECT chr(97 + i % 26) || i FROM generate_series(1, 60) i ON CONFLICT DO NOTHING"
        )
        count = pg.run(f"SELECT count(*) FROM {table}")[0][0]
        counts, slices = keys(pg_unit(table, rows_per_slice=3, columns=("n",)))
        assert sum(counts.values()) == count == len(counts), collation
        assert slices >= count / 4, collation


def test_b9_composite_keys_with_a_heavy_first_column(pg: Postgres, pg_unit: Any) -> None:
    pg.run('CREATE TABLE t (a text, "B b" timestamptz, c integer, n serial, PRIMARY KEY (a, "B b", c))')
    pg.run(
        "INSERT INTO t SELECT CASE WHEN i < 80 THEN 'x' ELSE 'y' || i END, timestamptz '2026-01-01' + i % 3 * interval '1 h', i"
        " FROM generate_series(1, 95) i"
    )
    counts, slices = keys(pg_unit("t"))
    assert counts == Counter(range(1, 96))
    assert slices >= 9


def test_b10_null_keys_are_read_once(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (a integer, b text, n serial, UNIQUE (a, b))")
    pg.run(
        "INSERT INTO t (a, b) SELECT CASE WHEN i % 3 > 0 THEN i END, CASE WHEN i % 5 > 0 THEN 'b' || i END FROM generate_series(1, 90) i"
    )
    rehearsal = pg_unit("t")
    counts, _ = keys(rehearsal)
    assert counts == Counter(range(1, 91))
    assert [(scope.scope_id, scope.nulls) for scope in rehearsal.outcome.scopes] == [
        ("load", False),
        ("load-nulls", True),
    ]


@pytest.mark.parametrize("factor", [0.001, 1000])
def test_b13_wrong_statistics_change_neither_rows_nor_the_size_of_slices(
    factor: float, pg: Postgres, pg_unit: Any
) -> None:
    for table, key in (("keyed", "integer PRIMARY KEY"), ("heap", "integer")):
        pg.run(f"CREATE TABLE {table} (k {key}, n serial, pad text) WITH (autovacuum_enabled = false)")
        pg.run(f"INSERT INTO {table} (k, pad) SELECT i * 3, repeat('x', 700) FROM generate_series(1, 500) i")
        pg.run(f"ANALYZE {table}")
        pg.run(f"UPDATE pg_class SET reltuples = greatest(1, reltuples * {factor}) WHERE relname = '{table}'")
        rehearsal = pg_unit(table, rows_per_slice=64)
        outcome = rehearsal.run()
        assert Counter(row["n"] for row in outcome.rows) == Counter(range(1, 501))
        largest = max(sum(batch.num_rows for batch in rehearsal.read(piece)) for piece in read_again(rehearsal))
        assert largest <= 128, f"{table}: a slice of {largest} rows"


def read_again(rehearsal: Rehearsal) -> list[Any]:
    """The slices of the last run, without its snapshot, which is gone."""
    return [piece.model_copy(update={"snapshot": None}) for piece in rehearsal.outcome.slices]


def test_b14_rows_above_the_last_key_that_arrive_while_reading_belong_to_no_slice(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (k integer PRIMARY KEY, n serial)")
    pg.run("INSERT INTO t (k) SELECT i FROM generate_series(1, 60) i")
    rehearsal = pg_unit("t")
    outcome = rehearsal.run(between=lambda done: pg.run(f"INSERT INTO t (k) VALUES ({1000 + done})") and None)
    assert sorted(row["k"] for row in outcome.rows) == list(range(1, 61))


def test_b14_without_a_snapshot_a_slice_that_grew_is_given_back_at_a_position(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (k integer PRIMARY KEY, n serial)")
    pg.run("INSERT INTO t (k) SELECT i * 5 FROM generate_series(1, 20) i")
    rehearsal = pg_unit("t", snapshot=False)
    rehearsal.budget_bytes = 64 * 1024

    def grow(done: int) -> None:
        if done == 1:
            pg.run("INSERT INTO t (k) SELECT i + 1000 FROM generate_series(1, 100) i")

    outcome = rehearsal.run(between=grow, order=lambda slices: slices)  # all are cut before the first is read
    assert sorted(row["k"] for row in outcome.rows) == [i * 5 for i in range(1, 21)] + list(range(1001, 1101))
    assert outcome.too_large == 1
    assert max(len([row for batch in rehearsal.read(s) for row in batch.to_pylist()]) for s in outcome.slices) <= 10


def test_b15_a_heap_without_a_key_is_read_by_its_blocks(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (n serial, pad text)")
    pg.run("INSERT INTO t (pad) SELECT repeat('x', 1000) FROM generate_series(1, 200)")
    pg.run("DELETE FROM t WHERE n % 7 = 0")
    rehearsal = pg_unit("t", rows_per_slice=20)
    counts, slices = keys(rehearsal)
    assert counts == Counter(i for i in range(1, 201) if i % 7)
    assert slices > 5
    assert rehearsal.outcome.scopes[0].axis.kind == "tid"


def test_b15_a_view_is_one_slice(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE VIEW t AS SELECT i AS n FROM generate_series(1, 50) i")
    rehearsal = pg_unit("t")
    assert keys(rehearsal) == (Counter(range(1, 51)), 1)
    assert rehearsal.outcome.scopes[0].axis.kind == "whole"


def test_a_partitioned_table_is_one_unit_and_its_partitions_are_none(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (n integer, d date, PRIMARY KEY (n, d)) PARTITION BY RANGE (d)")
    pg.run("CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')")
    pg.run("CREATE TABLE t2 PARTITION OF t FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')")
    pg.run("INSERT INTO t SELECT i, date '2026-01-01' + i % 59 FROM generate_series(1, 100) i")
    rehearsal = pg_unit("t")
    counts, slices = keys(rehearsal)
    assert counts == Counter(range(1, 101))
    assert slices >= 10
    names = [dataset.name for dataset in rehearsal.strategy.collect(rehearsal.spec.endpoint)]
    assert names == ["public.t"]


def test_b16_a_plan_of_a_thousand_slices_is_made_one_at_a_time(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (n integer PRIMARY KEY)")
    pg.run("INSERT INTO t SELECT i * 10 FROM generate_series(1, 1000) i")
    rehearsal = pg_unit("t", rows_per_slice=1)
    with rehearsal.strategy.probe(rehearsal.spec, {}) as probe:
        scope = rehearsal.strategy.scopes(rehearsal.spec, probe, {})[0]
        pieces = rehearsal.strategy.cut(rehearsal.spec, probe, scope, scope.target)
        first = next(pieces)
        assert (first.interval.lower, first.interval.upper) == (None, (20,))
        assert sum(1 for _ in pieces) == 999


ODD = ['a "quoted" name', "sp ace", "select", "Ünïcode", "a'b", "semi;colon--", "Order"]


@pytest.mark.parametrize("name", ODD)
def test_b17_b18_odd_names_of_tables_keys_and_columns(name: str, pg: Postgres, pg_unit: Any) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    pg.run(f'CREATE TABLE {quoted} ({quoted} text PRIMARY KEY, n serial, {quoted[:-1]}2" timestamptz DEFAULT now())')
    pg.run(f'INSERT INTO {quoted} ({quoted}) SELECT $q$\'; DROP TABLE "x"; --$q$ || i FROM generate_series(1, 45) i')
    counts, slices = keys(pg_unit(name))
    assert counts == Counter(range(1, 46))
    assert slices >= 4
    again = pg_unit(name, cursor=f"{name}2")
    assert len(again.run().rows) == 45
    assert again.run().slices == []


LITE: dict[str, tuple[str, list[Any]]] = {
    "dense": ("integer primary key", list(range(1, 96))),
    "sparse": ("integer primary key", [i * i * 1000 for i in range(1, 96)]),
    "single": ("integer primary key", [5]),
    "empty": ("integer primary key", []),
    "int64_limits": ("bigint primary key", [-(2**63), -(2**63) + 1, -1, 0, 2**63 - 2, 2**63 - 1]),
    "text": ("text primary key", [f"k{i}" for i in range(95)]),
    "nocase": ("text collate nocase primary key", [f"{'aAbBcC'[i % 6]}{i}" for i in range(95)]),
    "rtrim": ("text collate rtrim primary key", [f"k {' ' * (i % 3)}{i}  " for i in range(95)]),
    "decimal": ("decimal(10,3) primary key", [i / 8 for i in range(95)]),
    "real": ("real primary key", [i / 7 for i in range(95)]),
    "blob": ("blob primary key", [i.to_bytes(4, "little") for i in range(95)]),
    "datetime": ("datetime primary key", [f"2026-01-{1 + i // 24:02d} {i % 24:02d}:00:00" for i in range(95)]),
    "uuid": ("uuid primary key", [f"f{i * 7919:031x}" for i in range(95)]),
    "no_key": ("text", ["same"] * 95),
    "text_in_an_integer_key": ("int primary key", [*range(60), *(f"x{i}" for i in range(30))]),
}


@pytest.mark.parametrize("name", LITE)
def test_b9_every_sqlite_row_is_in_one_slice(name: str, sqlite_file: SqliteMaker, lite_unit: Any) -> None:
    import sqlite3

    kind, values = LITE[name]
    path = sqlite_file(f"CREATE TABLE t (k {kind}, n integer)")
    with sqlite3.connect(path) as connection:
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(value, i) for i, value in enumerate(values)])
    connection.close()
    counts, slices = keys(lite_unit(path, "t", columns=("n",)))
    assert counts == Counter(range(len(values)))
    assert slices >= len(values) / 11


def test_b10_null_keys_of_sqlite_are_read_once(sqlite_file: SqliteMaker, lite_unit: Any) -> None:
    rows = ", ".join(f"({'NULL' if i % 4 == 0 else i}, {i})" for i in range(80))
    path = sqlite_file("CREATE TABLE t (k text PRIMARY KEY, n integer) ", f"INSERT INTO t VALUES {rows}")
    assert keys(lite_unit(path, "t"))[0] == Counter(range(80))


def test_b9_sqlite_tables_without_rowid_and_views(sqlite_file: SqliteMaker, lite_unit: Any) -> None:
    path = sqlite_file(
        "CREATE TABLE t (a text, b integer, n integer, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "INSERT INTO t VALUES " + ", ".join(f"('a{i % 7}', {i}, {i})" for i in range(80)),
        "CREATE VIEW v AS SELECT n FROM t",
        "CREATE TABLE masks (rowid text, oid text, _rowid_ text, n integer)",
        "INSERT INTO masks SELECT 'x', 'y', 'z', n FROM t",
    )
    assert keys(lite_unit(path, "t"))[1] >= 7
    for name in ("t", "v", "masks"):
        assert keys(lite_unit(path, name))[0] == Counter(range(80))


def test_a_full_run_reads_everything_again(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (n integer PRIMARY KEY)")
    pg.run("INSERT INTO t SELECT i FROM generate_series(1, 30) i")
    rehearsal = pg_unit("t")
    assert rehearsal.spec.config.run_mode is RunMode.FULL
    assert [len(rehearsal.run().rows), len(Rehearsal(rehearsal.strategy, rehearsal.spec).run().rows)] == [30, 30]
    assert rehearsal.states["all"].generation == 1
    rehearsal.sink.clear()
    assert len(rehearsal.run().rows) == 30
    assert rehearsal.states["all"].generation == 2


def test_a_filter_and_a_selection_hold_in_every_slice(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TYPE mood AS ENUM ('sad', 'ok')")
    pg.run("CREATE TABLE t (n integer PRIMARY KEY, m mood, other text)")
    pg.run("INSERT INTO t SELECT i, (ARRAY['sad', 'ok'])[1 + i % 2]::mood, 'x' FROM generate_series(1, 90) i")
    outcome = pg_unit("t", where="m = 'ok'::mood -- only these", columns=("n", "m")).run()
    assert {tuple(row) for row in outcome.rows} == {("n", "m")}
    assert sorted(row["n"] for row in outcome.rows) == [i for i in range(1, 91) if i % 2]


def test_rows_larger_than_planned_return_a_slice_with_the_measured_size(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (n integer PRIMARY KEY, pad text)")
    pg.run("INSERT INTO t SELECT i, repeat(md5(i::text), 100) FROM generate_series(1, 300) i")
    rehearsal = pg_unit("t", rows_per_slice=600)
    rehearsal.page_bytes, rehearsal.budget_bytes = 64 * 1024, 256 * 1024
    outcome = rehearsal.run()
    assert sorted(row["n"] for row in outcome.rows) == list(range(1, 301))
    assert outcome.too_large == 1
    assert rehearsal.spec.learned.bytes_per_row == pytest.approx(3200, rel=0.1)
    assert len(outcome.slices) == 15


def test_one_huge_row_among_small_ones_is_read(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (n integer PRIMARY KEY, pad text)")
    pg.run(
        "INSERT INTO t SELECT i, CASE i WHEN 50 THEN repeat('y', 3000000) ELSE 'x' END FROM generate_series(1, 100) i"
    )
    rehearsal = pg_unit("t", rows_per_slice=100)
    rehearsal.page_bytes, rehearsal.budget_bytes = 64 * 1024, 256 * 1024
    assert sorted(row["n"] for row in rehearsal.run().rows) == list(range(1, 101))


def test_slices_of_a_slow_source_are_cut_by_time(sqlite_file: Any, lite_unit: Any) -> None:
    rows = ", ".join(f"({i})" for i in range(1, 121))
    path = sqlite_file("CREATE TABLE t (id INTEGER PRIMARY KEY);", f"INSERT INTO t VALUES {rows};")
    quick = lite_unit(path, "t", rows_per_slice=1000)
    assert len(quick.run().slices) == 1
    slow = lite_unit(path, "t", rows_per_slice=1000)
    learned = slow.spec.learned.model_copy(update={"rows_per_second": 0.2})
    slow.spec = slow.spec.model_copy(update={"learned": learned})
    outcome = slow.run()
    assert len(outcome.slices) == 10
    assert len(outcome.rows) == 120


def test_a_slice_in_the_middle_of_a_composite_key_is_found_by_the_index(pg: Postgres, pg_unit: Any) -> None:
    """By row comparisons alone PostgreSQL expects a quarter of the table, and reads all of it once per slice."""
    pg.run("CREATE TABLE t (a integer, b integer, v text, PRIMARY KEY (a, b))")
    pg.run("INSERT INTO t SELECT i / 4, i % 4, repeat('x', 100) FROM generate_series(0, 99999) i")
    pg.run("ANALYZE t")
    rehearsal = pg_unit("t", rows_per_slice=1000)
    with rehearsal.strategy.probe(rehearsal.spec, {}) as probe:
        scopes = rehearsal.strategy.scopes(rehearsal.spec, probe, {})
        pieces = list(planning.slices(rehearsal.strategy, rehearsal.spec, probe, scopes))
    middle = pieces[len(pieces) // 2]
    source = source_of(TableView(PostgresDialect(), rehearsal.spec), middle, middle.interval)
    plan = " ".join(row[0] for row in pg.run(f"EXPLAIN SELECT * {source}"))
    expected = int(plan.partition("rows=")[2].split()[0])
    assert "Seq Scan" not in plan
    assert expected < 5000
