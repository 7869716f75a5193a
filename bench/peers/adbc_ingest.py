"""One ADBC stream from one database into another: no state, no checks, no resume. Keys and types as ADBC makes them."""

import sys

import adbc_driver_postgresql.dbapi as adbc

source, target = sys.argv[1:]
with adbc.connect(source, autocommit=True) as reading, adbc.connect(target, autocommit=True) as writing:
    with reading.cursor() as cursor, writing.cursor() as into:
        cursor.execute("SELECT * FROM orders")
        into.adbc_ingest("orders", cursor.fetch_record_batch(), mode="create")
