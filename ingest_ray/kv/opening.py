"""Opens the store that a URL names."""

from ingest_ray.sdk.contracts import KV
from ingest_ray.sdk.missing_packages import named_packages
from ingest_ray.secrets import open_url
from ingest_ray.settings import Settings

_PACKAGES = {"redis": "redis", "rediss": "redis", "postgresql": "pg8000", "postgres": "pg8000"}


def package_of(url: str) -> str | None:
    """The Python package that the store at a URL needs beyond those that are always installed."""
    return _PACKAGES.get(url.partition(":")[0].partition("+")[0])


def open_kv(url: str) -> KV:
    """The KV at an SQLAlchemy URL, or at `redis://` / `rediss://`. Connects on first use."""
    if url.startswith(("redis://", "rediss://")):
        with named_packages("state in Redis"):
            from ingest_ray.kv.redis_kv import RedisKV
        return RedisKV(url)
    from ingest_ray.kv.sql import SqlKV

    return SqlKV(url)


def open_state(settings: Settings) -> KV:
    """The KV of an installation."""
    return open_kv(open_url(settings.kv_url or settings.state_url, settings))
