"""Every type of PostgreSQL arrives from the log as it does from the table: one table of types tests both ways."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from ingest_ray.testing.servers.postgres import Postgres
from tests.changes.log_world import assert_equal, log_world
from tests.verify.test_types import ARRAYS, POSTGRES, VALUES

pytestmark = pytest.mark.slow

# type -> values, of which the rows after the first are written again by an update
OTHERS = {
    "boolean": ["true", "false", "NULL"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "oid": ["4294967295", "0"],
    "xid": ["'4294967295'"],
    "money": ["'-1234.56'", "'0.05'", "'-0.05'", "'92233720368547758.07'"],
    "numeric(5,-2)": ["12300", "-12300"],
    "numeric(3,5)": ["0.00123", "-0.00001"],
    "real": ["1e-45", "3.4028235e38", "'-Infinity'", "'-0'"],
    "double precision": ["5e-324", "1.7976931348623157e308", "0.1"],
    "date": ["'0044-03-15 BC'", "'4713-01-01 BC'", "'12345-01-31'", "'1600-02-29'"],
    "timestamp": ["'0044-03-15 12:00:00.5 BC'", "'12345-01-31 23:59:59.999999'", "'1969-12-31 23:59:59.999999'"],
    "timestamptz": ["'0044-03-15 12:00:00.5+00 BC'", "'12345-01-31 23:59:59.999999+03'", "'2024-10-27 02:30+02:30'"],
    "time": ["'00:00'", "'23:59:59.999999'"],
    "timetz": ["'12:30:00.1+05:30'"],
    "interval": ["'1 year 2 mons -3 days 04:05:06.789'", "'-00:00:00.000001'", "'0'"],
    "inet": ["'10.0.0.1'", "'10.0.0.1/8'", "'::1'"],
    "cidr": ["'10.0.0.0/8'"],
    "macaddr": ["'08:00:2b:01:02:03'"],
    "bit(5)": ["'10101'"],
    "varbit": ["''", "'101'"],
    '"char"': ["'x'"],
    "name": ["'abc'"],
    "char(5)": ["'ab'", "''"],
    "text": ["''", "E'tab\\tnewline\\nquote\\'\"'", "'Straße 中'"],
    "bytea": ["''", "'\\x00ff5c'"],
    "uuid": ["'00010203-0405-0607-0809-0a0b0c0d0e0f'"],
    "json": ["'{\"a\":  1.0}'"],
    "jsonb": ['\'{"a": 1.00, "b": null}\''],
    "tsvector": ["'a b'"],
    "int4range": ["'[1,5)'", "'empty'"],
    "mood": ["'glad'"],
    "pair": ["'(1,\"a b\")'"],
    "positive": ["7"],
    "mood[]": ["'{glad,NULL}'"],
    "int[][]": ["'{{1,2},{3,4}}'"],
    "money[]": ["'{1.50}'"],
    "text[]": ["'{}'", '\'{"a\\\\"b","NULL",null,"","{x}"}\''],
    "bytea[]": ["'{\"\\\\\\\\x00ff\",NULL}'"],
    "inet[]": ["'{10.0.0.1,10.0.0.1/8}'"],
    "uuid[]": ["'{00010203-0405-0607-0809-0a0b0c0d0e0f}'"],
    "timestamptz[]": ["'{\"2024-01-01 00:00:00.000001+00\",NULL}'"],
} | {kind: list(values) for kind, values in ARRAYS.items()}


def rows_of(world: Any) -> list[dict[str, Any]]:
    table: pa.Table = DeltaTable(str(world.folder / "lake" / "shop" / world.unit)).to_pyarrow_table()
    names = [name for name in table.column_names if not name.startswith(("_ingest", "_deleted"))]
    columns = {}
    for name in names:  # as integers: Python has no years before 1
        column = table.column(name).combine_chunks()
        kind = column.type
        if pa.types.is_timestamp(kind) or pa.types.is_date32(kind) or pa.types.is_time64(kind):
            column = column.view(pa.int32() if pa.types.is_date32(kind) else pa.int64())
        columns[name] = column
    return sorted(pa.table(columns).to_pylist(), key=lambda row: row["id"])


def test_every_type_is_equal_from_the_table_and_from_the_log(tmp_path: Path, pg: Postgres) -> None:
    pg.run("CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TYPE pair AS (a int, b text)")
    pg.run("CREATE DOMAIN positive AS int CHECK (VALUE > 0)")
    columns = ", ".join(f"c{index} {kind}" for index, kind in enumerate(OTHERS))
    for name in ("t", "u"):
        pg.run(f"CREATE TABLE {name} (id int PRIMARY KEY, {columns})")
    most = max(len(values) for values in OTHERS.values())
    rows = [
        f"({row}, {', '.join(values[row] if row < len(values) else 'NULL' for values in OTHERS.values())})"
        for row in range(most)
    ]
    with log_world(tmp_path, pg) as logged, log_world(tmp_path, pg, "u") as copied:
        logged.run()
        pg.run(f"INSERT INTO t VALUES {', '.join(rows)}; INSERT INTO u SELECT * FROM t")
        assert logged.run().rows.quarantined == 0
        assert copied.run().rows.quarantined == 0
        names = {f"c{index}": kind for index, kind in enumerate(OTHERS)}
        for from_log, from_table in zip(rows_of(logged), rows_of(copied), strict=True):
            for name, value in from_table.items():
                assert repr(from_log[name]) == repr(value), (names.get(name), value)
        pg.run("UPDATE t SET id = id + 100")
        logged.run()
        assert_equal(logged)


def test_the_table_of_verify_is_equal(tmp_path: Path, pg: Postgres) -> None:
    pg.run(POSTGRES)
    with log_world(tmp_path, pg) as world:
        world.run()
        pg.run(f"INSERT INTO t VALUES {', '.join(VALUES)}")
        world.run()
        assert_equal(world)


def test_values_without_a_place_in_arrow_go_to_quarantine(tmp_path: Path, pg: Postgres) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, at timestamptz, day date, clock time, numbers int[])")
    with log_world(tmp_path, pg) as world:
        world.run()
        pg.run("INSERT INTO t VALUES (1, 'infinity'), (2, now())")
        pg.run("INSERT INTO t VALUES (3, NULL, '-infinity', NULL, NULL), (4, NULL, NULL, '24:00', NULL)")
        pg.run("INSERT INTO t VALUES (5, NULL, NULL, NULL, '{{1},{2}}'), (6, NULL, NULL, NULL, '[0:1]={1,2}')")
        summary = world.run()
        assert (summary.rows.quarantined, summary.rows.committed) == (5, 1)
        assert [row["id"] for row in world.rows()] == [2]
