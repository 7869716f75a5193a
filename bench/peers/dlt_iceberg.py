"""dlt with its fastest backend, ConnectorX, to an Iceberg table in a folder, with a catalog in SQLite."""

import os
import sys

from dlt_lineitem import load

url, out = sys.argv[1:]
os.environ["ICEBERG_CATALOG__ICEBERG_CATALOG_TYPE"] = "sql"
os.environ["ICEBERG_CATALOG__ICEBERG_CATALOG_CONFIG"] = (
    f'{{"type": "sql", "uri": "sqlite:///{out}/catalog.db", "warehouse": "file://{out}"}}'
)
load(url, out, "iceberg")
