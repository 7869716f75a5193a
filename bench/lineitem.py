"""A table like TPC-H's lineitem, made in SQL: 16 columns, four of them `numeric(15, 2)`, about 160 bytes a row as Arrow.

The values follow TPC-H's domains (https://www.tpc.org/tpch/, section 4.2.3); they come from hashes of the row's number, so that every
machine makes the same table.
"""

from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc

from bench.database import start_postgres

SELECT = """
    (i / 4 + 1)::bigint AS l_orderkey, (abs(hashint4(i)) % 200000 + 1)::bigint AS l_partkey,
    (abs(hashint4(i + 1)) % 10000 + 1)::bigint AS l_suppkey, (i % 4 + 1)::integer AS l_linenumber,
    (abs(hashint4(i + 2)) % 50 + 1)::numeric(15, 2) AS l_quantity,
    ((abs(hashint4(i + 3)) % 10404900 + 90000) / 100.0)::numeric(15, 2) AS l_extendedprice,
    ((abs(hashint4(i + 4)) % 11) / 100.0)::numeric(15, 2) AS l_discount,
    ((abs(hashint4(i + 5)) % 9) / 100.0)::numeric(15, 2) AS l_tax,
    (ARRAY['R', 'A', 'N'])[abs(hashint4(i + 6)) % 3 + 1]::char(1) AS l_returnflag,
    (ARRAY['O', 'F'])[abs(hashint4(i + 7)) % 2 + 1]::char(1) AS l_linestatus,
    date '1992-01-02' + abs(hashint4(i / 4)) % 2500 AS l_shipdate,
    date '1992-01-31' + abs(hashint4(i / 4)) % 2500 AS l_commitdate,
    date '1992-01-12' + abs(hashint4(i / 4)) % 2500 AS l_receiptdate,
    (ARRAY['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'])[abs(hashint4(i + 8)) % 4 + 1]::char(25) AS l_shipinstruct,
    (ARRAY['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'])[abs(hashint4(i + 9)) % 7 + 1]::char(10) AS l_shipmode,
    left('furiously ' || md5(i::text) || ' deposits', 10 + abs(hashint4(i + 10)) % 34)::varchar(44) AS l_comment
FROM generate_series(0, {rows} - 1) AS i
"""


def serve_lineitem(folder: Path, rows: int) -> str:
    """Starts a PostgreSQL server with the table and returns its URL. It ends with this process."""
    url = start_postgres(folder)
    with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements(rows):
            cursor.execute(statement)
    return url


def statements(rows: int) -> list[str]:
    return [
        "DROP TABLE IF EXISTS lineitem",
        f"CREATE TABLE lineitem AS SELECT {SELECT.format(rows=rows)}",
        "ALTER TABLE lineitem ADD PRIMARY KEY (l_orderkey, l_linenumber)",
        "VACUUM ANALYZE lineitem",
    ]
