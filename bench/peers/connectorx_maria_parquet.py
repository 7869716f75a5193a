"""ConnectorX from MariaDB, over the binary protocol (its fastest here) in as many partitions as the third argument says, to one Parquet file."""

import sys

import connectorx
import pyarrow.parquet as pq

url, out, partitions = sys.argv[1:]
table = connectorx.read_sql(
    url,
    "SELECT * FROM lineitem",
    partition_on="l_id",
    partition_num=int(partitions),
    protocol="binary",
    return_type="arrow",
)
pq.write_table(table, f"{out}/lineitem.parquet", compression="zstd")
