"""The key that seals secrets at rest: from `INGEST_SECRET_KEY`, or a file that only its owner can read."""

import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from ingest_ray.errors import ConfigError
from ingest_ray.settings import Settings

VARIABLE = "INGEST_SECRET_KEY"
_HINT = "make one: python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"


class Keyring:
    """Finds its key when it is first needed. `creates=False`: a missing key is an error; `keeps=False`: a new key is
    for this object only, and nothing is written."""

    def __init__(self, settings: Settings, *, creates: bool = True, keeps: bool = True) -> None:
        self._file = Path(settings.home) / "secret.key"
        self._creates = creates
        self._keeps = keeps
        self._cipher: Any = None

    def seal(self, text: str) -> str:
        sealed: str = self._opened().seal(text)
        return sealed

    def open(self, token: str, where: str) -> str:
        """Raises `ConfigError`, naming `where`, for what another key has sealed."""
        text = self.opens(token)
        if text is None:
            raise ConfigError(
                f"{where} was sealed with another key",
                hint=f"restore {VARIABLE} or '{self._file}', or apply the config again",
            )
        return text

    def opens(self, token: str) -> str | None:
        """The text, or None where another key has sealed it."""
        text: str | None = self._opened().open(token)
        return text

    def _opened(self) -> Any:
        if self._cipher is None:
            key = self._from_environment() or self._from_file() or self._made()
            try:
                self._cipher = _library().Cipher(key)
            except ValueError:
                raise ConfigError(f"the key in {VARIABLE} or '{self._file}' is not a Fernet key", hint=_HINT) from None
        return self._cipher

    def _from_environment(self) -> bytes | None:
        text = os.environ.get(VARIABLE, "").strip()
        return text.encode() or None

    def _from_file(self) -> bytes | None:
        try:
            return self._file.read_bytes().strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"the key '{self._file}' cannot be read: {error.strerror}") from None

    def _made(self) -> bytes:
        if not self._creates:
            raise ConfigError(
                f"no key to open secrets: '{self._file}' does not exist",
                hint=f"set {VARIABLE}, or apply the config again",
            )
        key: bytes = _library().new_key()
        if not self._keeps:
            return key
        self._file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, scratch = tempfile.mkstemp(dir=self._file.parent, prefix=".secret")  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(key)
            os.link(scratch, self._file)  # atomic, and fails where another process was first
        except FileExistsError:
            return self._from_file() or key
        finally:
            os.unlink(scratch)
        return key


def _library() -> Any:
    return import_module("ingest_ray.secrets.cipher")
