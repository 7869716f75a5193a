"""Finds the Python packages that the settings need and that are not installed, before anything runs."""

from collections.abc import Iterator

from ingest_ray.kv.opening import package_of
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.missing_packages import require_package
from ingest_ray.secrets import is_stored, open_url
from ingest_ray.settings import Settings

_LAUNCHERS = {"ray-job": "httpx", "temporal": "temporalio"}


def missing_packages(settings: Settings) -> list[ConfigError]:
    """One error for each; empty where all is there. Imports nothing."""
    found = []
    for package, owner in _needs(settings):
        try:
            require_package(package, owner)
        except ConfigError as error:
            found.append(error)
    return found


def refuse_missing_packages(settings: Settings) -> None:
    """Raises `ConfigError` with the first, and its extra."""
    for error in missing_packages(settings):
        raise error


def _needs(settings: Settings) -> Iterator[tuple[str, str]]:
    for what, url in (("state", settings.state_url), ("kv", settings.kv_url)):
        package = package_of(_followed(url, settings)) if url else None
        if package is not None:
            yield package, f"the store of {what}"
    if settings.ray.address != "local":
        yield "ray", f"ray.address '{settings.ray.address}'"
    elif settings.ray.inline_below == 0:
        yield "ray", "ray.inline_below 0"
    if settings.staging.provider == "object-store":
        yield "ray", "staging.provider 'object-store'"
    if settings.telemetry is not None:
        yield "opentelemetry.exporter.otlp.proto.http", "telemetry"
    if settings.lineage is not None:
        yield "openlineage", "lineage"
        if "'type': 'kafka'" in str(settings.lineage.transport):  # also within `composite`
            yield "confluent_kafka", "lineage.transport 'kafka'"
    if settings.launcher in _LAUNCHERS:
        yield _LAUNCHERS[settings.launcher], f"launcher '{settings.launcher}'"


def _followed(url: str, settings: Settings) -> str:
    """Empty where the URL is a reference to a store of secrets, or cannot be followed here."""
    try:
        return "" if is_stored(url) else open_url(url, settings)
    except ConfigError:
        return ""
