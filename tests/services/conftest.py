from ingest_ray.testing.servers import pg, postgres_server

__all__ = ["pg", "postgres_server"]
