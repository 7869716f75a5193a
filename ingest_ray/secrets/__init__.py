"""Secrets of endpoints: finding them in a config, sealing them at rest, resolving them for use."""

from ingest_ray.secrets.sealing import (
    config_model_of,
    follow,
    is_reference,
    masked,
    open_url,
    redact,
    resolve,
    seal,
    seal_url,
)

__all__ = ["config_model_of", "follow", "is_reference", "masked", "open_url", "redact", "resolve", "seal", "seal_url"]
