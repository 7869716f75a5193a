"""The real servers of all tests, each started once; and, before anything imports Ray, how its local cluster is protected."""

import os

os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", "0" * 64)

pytest_plugins = [
    "ingest_ray.testing.servers",
    "ingest_ray.testing.mariadb",
    "ingest_ray.testing.redis_server",
    "tests.strategies.jdbc.maria",
]
