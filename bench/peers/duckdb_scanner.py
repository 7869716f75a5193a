"""DuckDB's PostgreSQL scanner to a bare Parquet file: unordered, two threads."""

import os
import sys
from pathlib import Path

import duckdb
import duckdb_extension_postgres_scanner as packed

url, out = sys.argv[1:]
(extension,) = Path(os.path.dirname(packed.__file__)).rglob("*.duckdb_extension")
options = {"threads": 2, "preserve_insertion_order": False, "allow_unsigned_extensions": True}
with duckdb.connect(config=options) as connection:
    connection.execute(f"INSTALL '{extension}'")
    connection.execute("LOAD postgres_scanner")
    connection.execute(f"ATTACH '{url}' AS source (TYPE postgres, READ_ONLY)")
    connection.execute(
        f"COPY (SELECT * FROM source.public.lineitem) TO '{out}/lineitem.parquet' (FORMAT parquet, COMPRESSION zstd)"
    )
