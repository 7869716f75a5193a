"""The places of an installation with their options, whose secrets are references in the settings."""

from ingest_ray.sdk.location import Location
from ingest_ray.secrets.references import is_reference
from ingest_ray.secrets.sealing import follow
from ingest_ray.settings import Settings


def staging_location(settings: Settings) -> Location:
    """Call it in the process that opens the place. Raises `ConfigError` for a variable or file that is missing."""
    where = "staging.storage_options"
    options = {
        name: follow(value, f"{where}.{name}", settings) if is_reference(value) else value
        for name, value in settings.staging.storage_options.items()
    }
    return Location(settings.staging_uri, options)
