"""Every type of MariaDB arrives from the log as it does from the table: one table of types tests both ways."""

from pathlib import Path

import pytest

from ingest_ray.testing.servers.mariadb import MariaDatabase
from tests.changes.binlog_world import binlog_world, write
from tests.changes.log_world import assert_equal
from tests.changes.test_types_of_postgres import rows_of

pytestmark = pytest.mark.slow
LATIN = "'Stra\u00dfe \u20ac'"

# type -> values
TYPES = {
    "tinyint": ["-128", "127", "NULL"],
    "tinyint unsigned": ["0", "255"],
    "tinyint(1)": ["2", "-5"],
    "smallint": ["-32768", "32767"],
    "smallint unsigned": ["65535"],
    "mediumint": ["-8388608", "8388607"],
    "mediumint unsigned": ["16777215"],
    "int": ["-2147483648", "2147483647"],
    "int unsigned": ["4294967295"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "bigint unsigned": ["18446744073709551615", "0"],
    "int(5) zerofill": ["7"],
    "decimal(1,0)": ["-9", "0"],
    "decimal(5,2)": ["-999.99", "0.05", "-0.01"],
    "decimal(9,9)": ["0.123456789", "-0.000000001"],
    "decimal(20,10)": ["1234567890.0123456789", "-0.5"],
    "decimal(38,0)": ["99999999999999999999999999999999999999"],
    "decimal(38,38)": ["-0.00000000000000000000000000000000000001"],
    "decimal(65,30)": ["-12345678901234567890123456789012345.123456789012345678901234567890"],
    "decimal(10,2) unsigned": ["12345678.90"],
    "float": ["1.1754944e-38", "3.4028235e38", "0.1", "-0e0"],
    "double": ["5e-324", "1.7976931348623157e308", "0.1", "-0e0"],
    "float unsigned": ["16777217"],
    "bit(1)": ["b'1'", "b'0'"],
    "bit(9)": ["b'100000001'"],
    "bit(64)": ["b'1111111111111111111111111111111111111111111111111111111111111111'"],
    "date": ["'1000-01-01'", "'9999-12-31'", "'0001-01-01'"],
    "datetime": ["'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'"],
    "datetime(1)": ["'2024-02-29 12:34:56.7'"],
    "datetime(3)": ["'2024-02-29 12:34:56.078'"],
    "datetime(6)": ["'2024-02-29 12:34:56.000001'", "'9999-12-31 23:59:59.999999'"],
    "timestamp NULL": ["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"],
    "timestamp(2) NULL": ["'2024-10-27 02:30:00.05'"],
    "timestamp(6) NULL": ["'2024-02-29 12:34:56.000001'"],
    "time": ["'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'"],
    "time(1)": ["'-00:00:00.1'", "'12:00:00.9'"],
    "time(3)": ["'-01:02:03.004'", "'100:00:00.5'"],
    "time(6)": ["'-838:59:59.999999'", "'-00:00:00.000001'", "'00:00:00.000001'"],
    "year": ["1901", "2155", "0"],
    "char(5)": ["'ab'", "''", "'ab  '"],
    "char(100)": ["'\u4e2d'"],
    "varchar(10)": ["''", "'a\\tb\\n\\'\"'", "'\u4e2d\U0001f600'"],
    "varchar(300)": ["repeat('x', 300)"],
    "varchar(9) CHARACTER SET latin1": [LATIN, "x'8190'"],
    "char(9) CHARACTER SET latin1": [LATIN],
    "varchar(9) CHARACTER SET cp1251": ["'\u042f'"],
    "varchar(9) CHARACTER SET koi8r": ["'\u042f'"],
    "varchar(9) CHARACTER SET utf8mb3": ["'\u4e2d'"],
    "varchar(9) CHARACTER SET ucs2": ["'a\u4e2d'"],
    "char(9) CHARACTER SET ucs2": ["'a\u4e2d'"],
    "varchar(9) CHARACTER SET utf16": ["'a\U0001f600'"],
    "varchar(9) CHARACTER SET utf16le": ["'a\U0001f600'"],
    "varchar(9) CHARACTER SET utf32": ["'a\U0001f600'"],
    "varchar(9) CHARACTER SET sjis": ["'a\\\\\u8868'"],
    "varchar(9) CHARACTER SET gbk": ["'\u4e2d'"],
    "varchar(9) CHARACTER SET big5": ["'\u4e2d'"],
    "varchar(9) CHARACTER SET ujis": ["'\u65e5'"],
    "varchar(9) COLLATE utf8mb4_uca1400_as_cs": ["'\u00e9'"],
    "tinytext": ["'t'"],
    "text CHARACTER SET latin1": [LATIN],
    "mediumtext": ["repeat('m', 70000)"],
    "longtext": ["'l'"],
    "binary(5)": ["x'0102000000'", "x'2020202020'", "''"],
    "binary(16)": ["x'00112233445566778899aabbccddeeff'"],
    "varbinary(300)": ["x'00ff00'", "''"],
    "blob": ["x'00ff5c'", "''"],
    "longblob": ["x'00'"],
    "json": ['\'{"a":  1.0}\'', "'null'"],
    "enum('a','b''c','d,e','')": ["'b''c'", "'d,e'", "''"],
    "enum('x','\u00f6') CHARACTER SET latin1": ["'\u00f6'"],
    "set('a','b','c')": ["'a,c'", "''"],
    "set('x','\u00f6') CHARACTER SET latin1": ["'x,\u00f6'"],
    "uuid": ["'00112233-4455-6677-8899-aabbccddeeff'", "'123e4567-e89b-12d3-a456-426655440000'"],
    "inet4": ["'10.0.0.0'", "'255.255.255.255'"],
    "inet6": ["'::1'", "'fe80::'", "'::ffff:1.2.3.4'", "'::1.2.3.4'", "'1:0:0:2:0:0:0:3'", "'1:0:2:3:4:5:6:7'", "'::'"],
    "varchar(20) COMPRESSED": ["repeat('ab', 10)", "'a'", "''"],
    "varchar(4000) COMPRESSED": ["repeat('ab', 2000)"],
    "blob COMPRESSED": ["repeat('ab', 2000)", "x'00'"],
    "text COMPRESSED": ["repeat('\u00f6', 2000)"],
}  # fmt: skip


def test_every_type_is_equal_from_the_table_and_from_the_log(tmp_path: Path, maria_log: MariaDatabase) -> None:
    columns = ", ".join(f"c{index} {kind}" for index, kind in enumerate(TYPES))
    for name in ("t", "u"):
        maria_log.run(
            f"CREATE TABLE {name} (id int PRIMARY KEY, {columns}, virt int AS (id + 1) VIRTUAL, stored int AS (id + 2) STORED,"
            " hidden int INVISIBLE DEFAULT 7) CHARACTER SET utf8mb4 ROW_FORMAT=DYNAMIC"
        )
    names = ", ".join(f"c{index}" for index in range(len(TYPES)))
    most = max(len(values) for values in TYPES.values())
    logged, copied = binlog_world(tmp_path, maria_log), binlog_world(tmp_path, maria_log, "u")
    logged.run()
    for row in range(most):
        values = ", ".join(values[row] if row < len(values) else "NULL" for values in TYPES.values())
        write(maria_log, "SET sql_mode = ''", f"INSERT INTO t (id, {names}) VALUES ({row}, {values})")
    write(maria_log, f"INSERT INTO u (id, {names}, hidden) SELECT id, {names}, hidden FROM t")
    assert logged.run().rows.quarantined == 0
    assert copied.run().rows.quarantined == 0
    kinds = {f"c{index}": kind for index, kind in enumerate(TYPES)}
    for from_log, from_table in zip(rows_of(logged), rows_of(copied), strict=True):
        for name, value in from_table.items():
            assert repr(from_log[name]) == repr(value), (kinds.get(name), value)
    maria_log.run("UPDATE t SET id = id + 100")
    logged.run()
    assert_equal(logged)
