"""Secrets of endpoints: finding them in a config, sealing them at rest, resolving them for use."""

from ingest_ray.secrets.references import is_reference, is_stored, scheme_of
from ingest_ray.secrets.sealing import (
    check_setting,
    config_model_of,
    follow,
    masked,
    open_url,
    redact,
    resolve,
    seal,
    seal_url,
)

__all__ = [
    "check_setting",
    "config_model_of",
    "follow",
    "is_reference",
    "is_stored",
    "masked",
    "open_url",
    "redact",
    "resolve",
    "scheme_of",
    "seal",
    "seal_url",
]
