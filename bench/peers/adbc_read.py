"""Reads a statement's rows to nowhere; prints what that cost this process, its start left out."""

import json
import resource
import sys

import adbc_driver_postgresql.dbapi as adbc


def used() -> float:
    now = resource.getrusage(resource.RUSAGE_SELF)
    return now.ru_utime + now.ru_stime


url, statement = sys.argv[1:]
with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
    before = used()
    cursor.execute(statement)
    rows = sum(batch.num_rows for batch in cursor.fetch_record_batch())
    print(json.dumps({"rows": rows, "cpu_s": round(used() - before, 3)}))
