"""Files and folders that only their owner may read, whatever the process's umask is."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from ingest_ray.sdk.errors import ConfigError

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def make_private_folder(path: Path) -> None:
    """Makes the folder and those above it that are missing; leaves existing ones as they are."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)


def private_opener(path: str, flags: int) -> int:
    """For `open(path, mode, opener=private_opener)`."""
    return os.open(path, flags, FILE_MODE)


def make_private_file(path: str) -> None:
    """Creates an empty file where none exists: programs that open it then keep its mode.

    Never opens a file that exists: closing it would release the locks that SQLite holds on it in this process.
    https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_
    """
    if os.path.exists(path):
        return
    descriptor, scratch = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".private")  # mode 0600
    os.close(descriptor)
    try:
        os.link(scratch, path)
    except FileExistsError:  # another process or thread was first
        return
    except OSError:  # no hard links here, as on some network file systems
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
    finally:
        os.unlink(scratch)


def write_private_file(path: Path, content: bytes) -> None:
    make_private_folder(path.parent)
    with open(path, "wb", opener=private_opener) as out:
        out.write(content)


def refuse_shared_folder(path: Path) -> None:
    """Raises `ConfigError` for a home that others may write: they could exchange the state, or the code that a run starts."""
    try:
        mode = path.stat().st_mode
    except OSError:  # it does not exist yet, or cannot be read: who opens it says so
        return
    if os.name == "posix" and mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"others may write to the home '{path}'", hint=f"chmod go-w '{path}'")
