"""Files and folders that only their owner may read, whatever the process's umask is."""

import os
import stat
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
    """Creates an empty file where none exists: programs that open it then keep its mode."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0), FILE_MODE))


def refuse_shared_folder(path: Path) -> None:
    """Raises `ConfigError` for a home that others may write: they could exchange the state, or the code that a run starts."""
    try:
        mode = path.stat().st_mode
    except OSError:  # it does not exist yet, or cannot be read: who opens it says so
        return
    if os.name == "posix" and mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"others may write to the home '{path}'", hint=f"chmod go-w '{path}'")
