"""The key that seals secrets at rest: from `INGEST_SECRET_KEY`, or a file that only its owner can read."""

import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from ingest_ray.files.private import make_private_folder
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.settings import Settings

VARIABLE = "INGEST_SECRET_KEY"
_HINT = "make one: python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"


class Keyring:
    """Finds its key on first use. `creates=False`: a missing key is an error. `keeps=False`: a new key is used by this
    object only and not written."""

    def __init__(self, settings: Settings, *, creates: bool = True, keeps: bool = True) -> None:
        self._file = KeyFile(settings)
        self._creates = creates
        self._keeps = keeps
        self._cipher: Any = None

    def seal(self, text: str) -> str:
        sealed: str = self._opened().seal(text)
        return sealed

    def open(self, token: str, where: str) -> str:
        """Raises `ConfigError`, naming `where`, for a text that was sealed with another key."""
        text = self.opens(token)
        if text is None:
            raise ConfigError(
                f"{where} was sealed with another key",
                hint=f"restore {VARIABLE} or '{self._file.path}', or apply the config again",
            )
        return text

    def opens(self, token: str) -> str | None:
        """The text, or None where it was sealed with another key."""
        text: str | None = self._opened().open(token)
        return text

    def reseal(self, token: str) -> str:
        """The same secret, sealed with the first key."""
        return self.seal(self.open(token, "a stored secret"))

    def _opened(self) -> Any:
        if self._cipher is None:
            keys = from_environment() or self._file.keys() or [self._made()]
            try:
                self._cipher = _library().Cipher(keys)
            except ValueError:
                raise ConfigError(
                    f"the key in {VARIABLE} or '{self._file.path}' is not a Fernet key", hint=_HINT
                ) from None
        return self._cipher

    def _made(self) -> bytes:
        if not self._creates:
            raise ConfigError(
                f"no key to open secrets: '{self._file.path}' does not exist",
                hint=f"set {VARIABLE}, or apply the config again",
            )
        key: bytes = _library().new_key()
        return self._file.create(key) if self._keeps else key


def from_environment() -> list[bytes]:
    """Comma-separated keys: the first seals, the others only open."""
    return [part.strip().encode() for part in os.environ.get(VARIABLE, "").split(",") if part.strip()]


class KeyFile:
    """`<home>/secret.key`: one key a line, the first seals. Only its owner may read it."""

    def __init__(self, settings: Settings) -> None:
        self.path = Path(settings.home) / "secret.key"

    @property
    def is_overruled(self) -> bool:
        return bool(from_environment())

    def keys(self) -> list[bytes]:
        try:
            if os.name == "posix" and self.path.stat().st_mode & 0o077:
                raise ConfigError(f"the key '{self.path}' can be read by others", hint=f"chmod 600 '{self.path}'")
            return self.path.read_bytes().split()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigError(f"the key '{self.path}' cannot be read: {error.strerror}") from None

    def create(self, key: bytes) -> bytes:
        """Creates the key file, or returns the key that another process wrote first."""
        make_private_folder(self.path.parent)
        scratch = self._scratch([key])
        try:
            os.link(scratch, self.path)  # atomic; fails where another process wrote the file first
        except FileExistsError:
            return (self.keys() or [key])[0]
        finally:
            os.unlink(scratch)
        return key

    def add_new(self) -> None:
        """Adds a new first key; an interrupted rotation has one already."""
        keys = self.keys()
        if len(keys) < 2:
            self._replace([_library().new_key(), *keys])

    def drop_old(self) -> None:
        self._replace(self.keys()[:1])

    def _replace(self, keys: list[bytes]) -> None:
        make_private_folder(self.path.parent)
        os.replace(self._scratch(keys), self.path)

    def _scratch(self, keys: list[bytes]) -> str:
        descriptor, scratch = tempfile.mkstemp(dir=self.path.parent, prefix=".secret")  # mode 0600
        with os.fdopen(descriptor, "wb") as out:
            out.write(b"\n".join(keys))
            out.flush()
            os.fsync(out.fileno())
        return scratch


def _library() -> Any:
    return import_module("ingest_ray.secrets.cipher")
