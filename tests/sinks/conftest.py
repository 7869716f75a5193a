"""Real databases for the SQL sinks."""

from ingest_ray.testing.mariadb import mariadb, mariadb_server
from ingest_ray.testing.servers import pg, postgres_server

__all__ = ["mariadb", "mariadb_server", "pg", "postgres_server"]
