"""Secrets in settings: URLs that may have a password are sealed, others with one are refused.

Settings are written to `<home>/settings.json`, and travel with every job, where other users of a cluster can read them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ingest_ray import logs
from ingest_ray.config.yaml_lines import Lines, Path
from ingest_ray.sdk.url_credentials import credentials_of, is_secret_name
from ingest_ray.secrets import seal_url
from ingest_ray.secrets.fields import spelled
from ingest_ray.settings import SEALABLE, Settings

_SECTIONS_WITH_SECRETS = ("endpoints", "sinks")  # their templates say which fields are secrets
_SEALED_KEYS: frozenset[Path] = frozenset({("state",), ("kv",), *SEALABLE})
_JOB_ENVIRONMENT = ("ray", "job_runtime_env", "env_vars")


def seal_settings(settings: Settings) -> Settings:
    """The settings with every URL of `SEALABLE` as it may be stored."""
    return map_sealable(settings, lambda text: seal_url(text, settings))


def map_sealable(settings: Settings, replacement: Callable[[str], str]) -> Settings:
    document = settings.model_dump()
    for path in SEALABLE:
        owner: Any = document
        for part in path[:-1]:
            owner = owner[part]
        if isinstance(owner[path[-1]], str):
            owner[path[-1]] = replacement(owner[path[-1]])
    return Settings.model_validate(document)


def faults_of_secrets(lines: Lines, document: Mapping[str, Any]) -> Iterator[str]:
    """One line per text of the file that has a password where it would be stored or shown as it is. The text is not repeated."""
    sections = {name: value for name, value in document.items() if name not in _SECTIONS_WITH_SECRETS}
    for path, text in _texts(sections, ()):
        if path in _SEALED_KEYS or not _is_secret(path, text):
            continue
        for part in (text, *credentials_of(text)):
            logs.hide(part)
        yield (
            f"{lines.at(path)}: {spelled(path)}: holds a password, key or token, and is stored and shown as it is; give it to the "
            "processes instead: in their environment, or by the role of the machine"
        )


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, (*path, str(name)))
    elif isinstance(value, list):
        for n, item in enumerate(value):
            yield from _texts(item, (*path, n))


def _is_secret(path: Path, text: str) -> bool:
    if path[:-1] == _JOB_ENVIRONMENT and text and is_secret_name(str(path[-1])):
        return True
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    is_address = name.lower().endswith(("url", "uri", "dsn", "address", "proxy", "host")) or "://" in text
    return is_address and bool(credentials_of(text))
