"""Small versioned JSON documents with compare-and-set: checkpoints, leases, intents."""

from ingest_ray.kv.opening import open_kv, open_state

__all__ = ["open_kv", "open_state"]
