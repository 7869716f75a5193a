"""The table of `bench.lineitem` in MariaDB, with a `datetime(6)` and a `double` in the place of two of its dates.

The values come from hashes of the row's number, so that every machine makes the same table.
"""

CREATE = """
CREATE TABLE lineitem (
    l_id bigint NOT NULL PRIMARY KEY, l_orderkey bigint NOT NULL, l_partkey bigint NOT NULL, l_suppkey int NOT NULL,
    l_linenumber int NOT NULL, l_quantity decimal(15, 2) NOT NULL, l_extendedprice decimal(15, 2) NOT NULL,
    l_discount decimal(15, 2) NOT NULL, l_tax decimal(15, 2) NOT NULL, l_returnflag char(1) NOT NULL,
    l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL, l_receipt datetime(6) NOT NULL, l_weight double NOT NULL,
    l_shipmode varchar(10) NOT NULL, l_comment varchar(44) NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4
"""

FILL = """
INSERT INTO lineitem SELECT
    seq, seq DIV 4 + 1, crc32(seq) % 200000 + 1, crc32(seq + 1) % 10000 + 1,
    seq % 4 + 1, crc32(seq + 2) % 50 + 1, (crc32(seq + 3) % 10404900 + 90000) / 100,
    (crc32(seq + 4) % 11) / 100, (crc32(seq + 5) % 9) / 100, elt(crc32(seq + 6) % 3 + 1, 'R', 'A', 'N'),
    elt(crc32(seq + 7) % 2 + 1, 'O', 'F'), date '1992-01-02' + INTERVAL crc32(seq DIV 4) % 2500 DAY,
    timestamp '1992-01-12 00:00:00' + INTERVAL crc32(seq) * 50321 MICROSECOND, crc32(seq + 8) / 7e0,
    elt(crc32(seq + 9) % 7 + 1, 'REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'),
    left(concat('furiously ', md5(seq), ' deposits'), 10 + crc32(seq + 10) % 34)
FROM seq_1_to_{rows}
"""


def statements(rows: int) -> list[str]:
    return ["DROP TABLE IF EXISTS lineitem", CREATE, FILL.format(rows=rows), "ANALYZE TABLE lineitem"]
