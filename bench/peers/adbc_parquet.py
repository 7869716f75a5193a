"""One ADBC stream into one Parquet file: no state, no checks, no resume. Numerics stay text."""

import sys

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
import pyarrow.parquet as pq

url, out = sys.argv[1:]
with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
    cursor.execute("SELECT * FROM lineitem")
    reader = cursor.fetch_record_batch()
    schema = pa.schema([pa.field(f.name, getattr(f.type, "storage_type", f.type)) for f in reader.schema])
    with pq.ParquetWriter(f"{out}/lineitem.parquet", schema, compression="zstd") as writer:
        for batch in reader:
            columns = [getattr(column, "storage", column) for column in batch.columns]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
