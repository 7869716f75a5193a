"""dlt with its fastest backend, ConnectorX, to Parquet files in a folder."""

import sys

from dlt_lineitem import load

load(*sys.argv[1:])
