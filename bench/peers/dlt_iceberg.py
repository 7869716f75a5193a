"""dlt with its fastest backend, ConnectorX, to an Iceberg table in a folder, with a catalog in SQLite."""

import os
import sys
from urllib.parse import parse_qs, urlsplit

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "true"  # of files that are Parquet, and compressed, already

import dlt
from dlt.destinations import filesystem
from dlt.sources.sql_database import sql_table

url, out = sys.argv[1:]
os.environ["ICEBERG_CATALOG__ICEBERG_CATALOG_TYPE"] = "sql"
os.environ["ICEBERG_CATALOG__ICEBERG_CATALOG_CONFIG"] = (
    f'{{"type": "sql", "uri": "sqlite:///{out}/catalog.db", "warehouse": "file://{out}"}}'
)
reflected = url.replace("postgresql://", "postgresql+psycopg2://", 1)
if socket := parse_qs(urlsplit(url).query).get("host"):
    url = f"postgresql://postgres@{socket[0].replace('/', '%2F')}/postgres"
pipeline = dlt.pipeline(
    "bench", destination=filesystem(f"file://{out}"), dataset_name="lake", pipelines_dir=f"{out}/work"
)
table = sql_table(
    reflected,
    table="lineitem",
    schema="public",
    backend="connectorx",
    backend_kwargs={"conn": url},
    reflection_level="minimal",
)
table.apply_hints(table_format="iceberg")
pipeline.run(table, loader_file_format="parquet", write_disposition="replace")
