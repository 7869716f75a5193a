"""Opens the store that a URL names."""

from ingest_ray.sdk.contracts import KV
from ingest_ray.secrets import open_url
from ingest_ray.settings import Settings


def open_kv(url: str) -> KV:
    """The KV at an SQLAlchemy URL, or at `redis://` / `rediss://`. Connects on first use."""
    if url.startswith(("redis://", "rediss://")):
        from ingest_ray.kv.redis_kv import RedisKV  # an extra

        return RedisKV(url)
    from ingest_ray.kv.sql import SqlKV

    return SqlKV(url)


def open_state(settings: Settings) -> KV:
    """The KV of an installation."""
    return open_kv(open_url(settings.kv_url or settings.state_url, settings))
