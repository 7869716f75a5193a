"""Loads lineitem with dlt's fastest backend, ConnectorX, into a folder."""

import os
from urllib.parse import parse_qs, urlsplit

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "true"  # of files that are Parquet, and compressed, already

import dlt
from dlt.destinations import filesystem
from dlt.sources.sql_database import sql_table


def load(url: str, out: str, table_format: str | None = None) -> None:
    """`table_format` None: Parquet files."""
    reflected = url.replace("postgresql://", "postgresql+psycopg2://", 1)
    if socket := parse_qs(urlsplit(url).query).get("host"):
        # ConnectorX takes a folder of sockets only in the place of the host
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
    if table_format is not None:
        table.apply_hints(table_format=table_format)
    pipeline.run(table, loader_file_format="parquet", write_disposition="replace")
