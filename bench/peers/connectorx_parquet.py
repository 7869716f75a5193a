"""ConnectorX in four partitions to one Parquet file."""

import sys
from urllib.parse import parse_qs, urlsplit

import connectorx
import pyarrow.parquet as pq

url, out = sys.argv[1:]
if socket := parse_qs(urlsplit(url).query).get("host"):  # it takes a folder of sockets only in the place of the host
    url = f"postgresql://postgres@{socket[0].replace('/', '%2F')}/postgres"
table = connectorx.read_sql(
    url, "SELECT * FROM lineitem", partition_on="l_orderkey", partition_num=4, return_type="arrow"
)
pq.write_table(table, f"{out}/lineitem.parquet", compression="zstd")
