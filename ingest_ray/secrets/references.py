"""References to secrets: `env:NAME`, `file:/path`, and `scheme:path#field` of a store that an entry point offers.

What a store answers is kept in memory for one run, so that a login and its password belong together and a run of many slices
asks once. The next run asks again: it sees a secret that was rotated.
"""

import json
import os
import random
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pydantic import JsonValue

from ingest_ray.registry import secret_schemes, secret_store
from ingest_ray.sdk.contracts import StoredSecret
from ingest_ray.sdk.errors import ConfigError, IngestError, SecretUnavailable

ATTEMPTS = 4
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
KEPT_RUNS = 16  # of one process
LIFETIME_USED = 0.5  # a login that the store made is asked for anew when half of its lifetime is over

_SCHEME = re.compile(r"([a-z][a-z0-9.+-]*):(?!//)")


class Reference(NamedTuple):
    """`field` None: the secret is one text."""

    scheme: str
    path: str
    field: str | None


def scheme_of(value: str) -> str | None:
    """`env`, `file` or the scheme of a store; None for a text that is no reference."""
    if (match := _SCHEME.match(value)) is None:
        return None
    scheme = match.group(1)
    return scheme if scheme in ("env", "file") or scheme in secret_schemes() else None


def is_reference(value: str) -> bool:
    return scheme_of(value) is not None


def is_stored(value: str) -> bool:
    """Whether a request to a store is needed to follow the reference."""
    return scheme_of(value) not in (None, "env", "file")


def check_reference(value: str, where: str) -> None:
    """Makes no request. Raises `ConfigError`, naming `where`, for a reference to a store that cannot be followed by its form."""
    if is_stored(value):
        with _named(where, value):
            reference = _split(value)
            secret_store(reference.scheme).check(reference.path)


def follow_reference(value: str, where: str, reads: "StoreReads") -> str:
    """The secret, as it was written.

    Raises:
        ConfigError: names `where`, and the variable, file or store; never a secret.
        SecretUnavailable: the store did not answer.
    """
    scheme, _, rest = value.partition(":")
    if scheme == "env":
        if rest not in os.environ:
            raise ConfigError(
                f"{where}: the environment variable '{rest}' is not set", hint=f"set {rest} and run again"
            )
        return os.environ[rest]
    if scheme == "file":
        file = Path(rest).expanduser()
        try:
            return file.read_text().rstrip("\r\n")
        except OSError as error:
            raise ConfigError(f"{where}: the file '{file}' cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{where}: the file '{file}' is not UTF-8") from None
    with _named(where, value):
        reference = _split(value)
        return _field_of(reads.read(reference.scheme, reference.path).value, reference.field)


class StoreReads:
    """What the stores answered, one request for each path."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], tuple[StoredSecret, float]] = {}

    def read(self, scheme: str, path: str) -> StoredSecret:
        with self._lock:
            found, until = self._found.get((scheme, path), (None, 0.0))
            if found is None or time.monotonic() >= until:
                found = _read(scheme, path)
                until = time.monotonic() + (found.lifetime_s or float("inf")) * LIFETIME_USED
                self._found[scheme, path] = found, until
            return found


_runs: OrderedDict[str, StoreReads] = OrderedDict()
_runs_lock = threading.Lock()


def reads_of(run_id: str | None) -> StoreReads:
    """What this process has read for a run; without a run, nothing is kept."""
    if run_id is None:
        return StoreReads()
    with _runs_lock:
        reads = _runs.setdefault(run_id, StoreReads())
        _runs.move_to_end(run_id)
        while len(_runs) > KEPT_RUNS:
            _runs.popitem(last=False)
        return reads


def _read(scheme: str, path: str) -> StoredSecret:
    """Asks again while the store is away. The library of retries is not imported: every command would pay for it."""
    store = secret_store(scheme)
    store.check(path)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return store.read(path)
        except SecretUnavailable as error:
            if attempt == ATTEMPTS:
                raise
            wanted_s = FIRST_PAUSE_S * 2**attempt if error.retry_after_s is None else error.retry_after_s
            time.sleep(min(wanted_s, LONGEST_PAUSE_S) * random.uniform(0.5, 1))
        except IngestError:
            raise
        except Exception as error:  # of somebody's store; its text is not known to be without secrets
            raise ConfigError(f"the store failed: {type(error).__name__}") from None
    raise AssertionError("unreachable")


def _split(value: str) -> Reference:
    scheme, _, rest = value.partition(":")
    path, mark, name = rest.rpartition("#")
    if not mark:
        return Reference(scheme, rest, None)
    if not path or not name:
        raise ConfigError("a path and a field are expected, as in 'path#field'")
    return Reference(scheme, path, name)


def _field_of(value: str | Mapping[str, JsonValue], name: str | None) -> str:
    if name is None:
        if isinstance(value, str):
            return value
        raise ConfigError("the secret has fields, and the reference names none", hint=_names(value))
    fields = _as_fields(value)
    if name not in fields:
        raise ConfigError(f"the secret has no field '{name}'", hint=_names(fields))
    found = fields[name]
    if isinstance(found, str):
        return found
    if isinstance(found, int | float) and not isinstance(found, bool):
        return json.dumps(found)
    raise ConfigError(f"field '{name}' of the secret is no text")


def _as_fields(value: str | Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    if not isinstance(value, str):
        return value
    try:
        fields = json.loads(value)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise ConfigError("the secret is one text without fields", hint="leave out '#' and what follows")
    return fields


def _names(fields: Mapping[str, JsonValue]) -> str:
    return f"it has: {', '.join(sorted(fields))}" if fields else "it has no field"


@contextmanager
def _named(where: str, value: str) -> Iterator[None]:
    """Puts the place and the reference in front of an error's message."""
    try:
        yield
    except (ConfigError, SecretUnavailable) as error:
        named = ConfigError if isinstance(error, ConfigError) else SecretUnavailable
        message = f"{where}: '{value}': {error.message}"
        raise named(message, hint=error.hint, retry_after_s=error.retry_after_s) from None
