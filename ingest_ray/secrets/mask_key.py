"""The key of the masks of an installation: a reference in the settings, else a sealed file that the first masked run makes.

It is not the key that seals secrets: rotating that one seals this one again and changes no mask.
"""

import os
import secrets
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

from ingest_ray import logs
from ingest_ray.files.private import make_private_folder, private_opener
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.secrets.keyring import Keyring
from ingest_ray.secrets.references import follow_reference, reads_of
from ingest_ray.secrets.sealing import check_setting, usable_secret
from ingest_ray.settings import Settings

FILE = "mask.key"
SHORTEST, LONGEST = 16, 64  # bytes; a shorter key could be guessed, a longer one is none of BLAKE2b's


def read_mask_key(settings: Settings, *, creates: bool = False) -> bytes:
    """The key's text as bytes, as it is in the variable or file that `mask_key` refers to.

    Raises:
        ConfigError: there is no key, it cannot be opened here, or it is too short or too long.
    """
    if settings.mask_key is not None:
        check_setting(settings.mask_key, "mask_key")
        # A slice needs the key several times; what a store answered is kept for a minute.
        reads = reads_of(f"mask_key in minute {time.monotonic() // 60}")
        text = follow_reference(settings.mask_key, "mask_key", reads)
        logs.hide(text)
        key = usable_secret(text, "mask_key").encode()
        if not SHORTEST <= len(key) <= LONGEST:
            raise ConfigError(
                f"mask_key: the key has {len(key)} bytes, and needs {SHORTEST} to {LONGEST}",
                hint="make one: python -c 'import secrets; print(secrets.token_hex(32))'",
            )
        return key
    file = Path(settings.home) / FILE
    try:
        sealed = file.read_text()
    except FileNotFoundError:
        if creates and settings.shared.uri is not None:
            raise ConfigError(
                f"no key for policy.mask: '{file}' does not exist, and with shared.uri each machine would make a key of its own",
                hint="give all machines one: mask_key: env:NAME, with 16 to 64 bytes",
            ) from None
        if not creates:
            raise ConfigError(
                f"no key for policy.mask: '{file}' does not exist",
                hint="restore it: with another key equal values get other masks, so masked units are reset and loaded again",
            ) from None
        sealed = _create(file, Keyring(settings).seal(secrets.token_hex(LONGEST // 2)))
    except OSError as error:
        raise ConfigError(f"the key of masks '{file}' cannot be read: {error.strerror}") from None
    text = Keyring(settings, creates=False).open(sealed, f"the key of masks '{file}'")
    logs.hide(text)
    return text.encode()


def mask_key_id(key: bytes) -> str:
    """Eight digits that tell one key from another, and nothing about it."""
    return blake2b(b"ingest_ray: the id of a mask key", key=key, digest_size=4).hexdigest()


def reseal_mask_key(settings: Settings, reseal: Callable[[str], str]) -> None:
    file = Path(settings.home) / FILE
    if file.is_file():
        scratch = file.with_suffix(".new")
        scratch.unlink(missing_ok=True)
        _write(scratch, reseal(file.read_text()))
        os.replace(scratch, file)


def _create(file: Path, sealed: str) -> str:
    """Writes the file, or returns what another process wrote first."""
    make_private_folder(file.parent)
    scratch = file.with_name(f".{FILE}.{secrets.token_hex(8)}")
    _write(scratch, sealed)
    try:
        os.link(scratch, file)  # atomic; fails where another process wrote the file first
    except FileExistsError:
        return file.read_text()
    finally:
        scratch.unlink()
    return sealed


def _write(file: Path, text: str) -> None:
    with open(file, "x", opener=private_opener) as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
