"""Asks a person before something is lost."""

import sys

from ingest_ray.sdk.errors import ConfigError


def ask(question: str) -> None:
    """Returns when the answer is yes. Raises `ConfigError` for a no, and where nobody can answer."""
    if not sys.stdin.isatty():
        raise ConfigError("this asks first, and nobody is there to answer", hint="say --yes")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ConfigError("not confirmed: nothing was changed")
