"""Asks for a confirmation before a command deletes something."""

import sys

from ingest_ray.sdk.errors import ConfigError


def confirm(question: str) -> None:
    """Returns when the answer is yes. Raises `ConfigError` for a no, and when stdin is no terminal."""
    if not sys.stdin.isatty():
        raise ConfigError("this asks first, and there is no terminal to answer at", hint="say --yes")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ConfigError("not confirmed: nothing was changed")
