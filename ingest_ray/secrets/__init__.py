"""Secrets of endpoints: where they are in a config, how they are sealed at rest, how they become real."""

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
