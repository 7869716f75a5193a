"""Encodes and decodes documents: compact JSON of at most 64 KiB."""

import json
from collections.abc import Mapping

from pydantic import JsonValue

from ingest_ray.sdk.errors import ConfigError, PayloadTooLarge, StateUnreadable

MAX_BYTES = 64 * 1024  # a control message: ids, intervals and counts, never rows


def encode(key: str, value: Mapping[str, JsonValue]) -> str:
    """Raises `PayloadTooLarge` beyond 64 KiB of UTF-8, `ConfigError` for a value that is no JSON document."""
    try:
        text = json.dumps(dict(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key}: the value is no JSON document: {error}") from None
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8 form; JSON escapes it
        text = json.dumps(dict(value), allow_nan=False, separators=(",", ":"))
        size = len(text)
    if size > MAX_BYTES:
        raise PayloadTooLarge(
            f"{key}: a document of {size} bytes is over the limit of {MAX_BYTES}",
            hint="keep rows and long lists in staging and store their address",
        )
    return text


def decode(key: str, text: str) -> dict[str, JsonValue]:
    """Returns any JSON object as it is; its reader checks the `schema` number."""
    try:
        value = json.loads(text, parse_constant=_refuse)  # `encode` writes no NaN and no Infinity
    except (ValueError, RecursionError):
        raise StateUnreadable(f"{key}: the stored value is not JSON") from None
    if not isinstance(value, dict):
        raise StateUnreadable(f"{key}: the stored value is not a JSON object")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def check_key(key: str) -> str:
    """Keys are non-empty text without NUL, which PostgreSQL cannot store, and with a UTF-8 form."""
    if not key or "\x00" in key:
        raise ConfigError(f"{key!r} is no key: a key is non-empty text without NUL")
    try:
        key.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{key!r} is no key: it has no UTF-8 form") from None
    return key
