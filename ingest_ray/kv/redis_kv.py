"""The KV in Redis: each write is one script, so compare and set happen in one round trip.

All documents lie in one hash and their keys in one sorted set, because Redis itself has no ordered scan
(https://redis.io/docs/latest/commands/scan/ promises no order, and may repeat keys). The braces keep both on one node of
a Redis Cluster. URL: `redis://[user:password@]host[:port][/db][?prefix=NAME]`, or `rediss://` for TLS, with redis-py's
parameters (`ssl_ca_certs`, `socket_timeout`, ...).
"""

import weakref
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import redis
from pydantic import JsonValue
from redis.backoff import NoBackoff
from redis.retry import Retry

from ingest_ray.kv.documents import check_key, decode, encode
from ingest_ray.sdk.errors import ConfigError, StateConflict, StateUnavailable, StateUnreadable

TIMEOUT_S = 20.0  # for connecting and for each command: documents are small
SCAN_KEYS = 500  # one page of a scan: at most 32 MiB

# A stored value is `<version>:<JSON>`; without JSON the document is deleted, and the entry stays so that no version is reused.
# KEYS: documents, key index. ARGV: key, expected version, JSON ('' deletes). Answers the new version, or 0: conflict.
_WRITE = """
local stored = redis.call('HGET', KEYS[1], ARGV[1])
local version, is_live = 0, false
if stored then
  local colon = string.find(stored, ':', 1, true)
  if not colon then return redis.error_reply('UNREADABLE no version') end
  version = tonumber(string.sub(stored, 1, colon - 1))
  is_live = colon < string.len(stored)
end
local expected = tonumber(ARGV[2])
if (is_live and version ~= expected) or (not is_live and (expected ~= 0 or ARGV[3] == '')) then return 0 end
version = version + 1
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', version) .. ':' .. ARGV[3])
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  redis.call('ZADD', KEYS[2], 0, ARGV[1])
end
return version
"""

# ARGV: lower bound, upper bound (sorted-set syntax), limit. Answers key, stored value, key, stored value ...
_PAGE = """
local keys = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], ARGV[2], 'LIMIT', 0, tonumber(ARGV[3]))
local answer = {}
for _, key in ipairs(keys) do
  answer[#answer + 1] = key
  answer[#answer + 1] = redis.call('HGET', KEYS[1], key)
end
return answer
"""


class RedisKV:
    """Connects on first use, and again after the server was unavailable."""

    def __init__(self, url: str) -> None:
        plain, prefix = _without_prefix(url)
        self._where = _shown(plain)
        self._names = [f"{{{prefix}}}:documents", f"{{{prefix}}}:keys"]
        options: dict[str, Any] = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
        try:
            # No automatic resend: a write whose response was lost must not conflict with itself.
            self._client = redis.Redis.from_url(plain, retry=Retry(NoBackoff(), 0), **options)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"the URL of the KV at '{self._where}' is not understood: {error}") from None
        weakref.finalize(self, self._client.close)  # connections do not outlive their store

    def get(self, key: str) -> tuple[dict[str, JsonValue], int] | None:
        stored = self._call("HGET", self._names[0], check_key(key).encode())
        return None if stored is None else _read(key, stored)

    def put(self, key: str, value: Mapping[str, JsonValue], if_version: int) -> int:
        return self._write(key, encode(check_key(key), value), if_version)

    def delete(self, key: str, if_version: int) -> None:
        self._write(check_key(key), "", if_version)

    def scan(self, prefix: str) -> Iterator[tuple[str, dict[str, JsonValue], int]]:
        low, high = _bounds(prefix)
        while True:
            page = self._call("EVAL", _PAGE, 2, *self._names, low, high, SCAN_KEYS)
            yield from _documents(page)
            if len(page) < 2 * SCAN_KEYS:
                return
            low = b"(" + page[-2]

    def read_at_once(self, prefix: str) -> Iterator[tuple[str, dict[str, JsonValue], int]]:
        """A script is atomic; a limit of -1 is none: https://redis.io/docs/latest/commands/zrangebylex/"""
        yield from _documents(self._call("EVAL", _PAGE, 2, *self._names, *_bounds(prefix), -1))

    def close(self) -> None:
        self._client.close()

    def _write(self, key: str, text: str, if_version: int) -> int:
        version = int(self._call("EVAL", _WRITE, 2, *self._names, key.encode(), if_version, text.encode()))
        if version == 0:
            raise StateConflict(f"{key}: another process wrote it, version {if_version} is not current")
        return version

    def _call(self, *command: Any) -> Any:
        try:
            return self._client.execute_command(*command)  # type: ignore[no-untyped-call]
        except (
            redis.AuthenticationError,
            redis.exceptions.AuthorizationError,
            redis.exceptions.NoPermissionError,
        ) as error:
            raise StateUnavailable(
                f"state at '{self._where}' refused the login: {error}", hint="check user and password in the KV's URL"
            ) from None
        except (redis.RedisError, OSError) as error:
            raise StateUnavailable(
                f"state at '{self._where}' does not answer: {error}",
                hint="check that the server runs and is reachable from here; then run again",
            ) from None


def _bounds(prefix: str) -> tuple[bytes, bytes]:
    if not prefix:
        return b"-", b"+"
    return b"[" + prefix.encode(), b"[" + prefix.encode() + b"\xff"  # no UTF-8 text holds a byte FF


def _documents(page: list[bytes]) -> Iterator[tuple[str, dict[str, JsonValue], int]]:
    for name, stored in zip(page[::2], page[1::2], strict=True):
        key = name.decode()
        if stored is not None and (found := _read(key, stored)) is not None:
            yield key, *found


def _read(key: str, stored: bytes) -> tuple[dict[str, JsonValue], int] | None:
    version, colon, text = stored.partition(b":")
    if not colon or not version.isdigit():
        raise StateUnreadable(f"{key}: the stored value has no version")
    return (decode(key, text.decode(errors="surrogateescape")), int(version)) if text else None


def _without_prefix(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    prefix = dict(query).get("prefix", "ingest")
    if not prefix or "{" in prefix or "}" in prefix:
        raise ConfigError("the prefix in the URL of the KV must be non-empty and without braces")
    return urlunsplit(parts._replace(query=urlencode([pair for pair in query if pair[0] != "prefix"]))), prefix


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
