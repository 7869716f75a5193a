"""Whether what a run needs in object stores can be used: one short request to each place; an ordinary one is repeated for a minute."""

from ingest_ray.files.folder import hint_for
from ingest_ray.files.store_client import is_store
from ingest_ray.files.store_errors import is_final
from ingest_ray.files.store_folder import StoreFolder
from ingest_ray.sdk.errors import StagingDenied, StagingUnavailable
from ingest_ray.sdk.location import Location
from ingest_ray.secrets.locations import quarantine_location, staging_location
from ingest_ray.settings import Settings


def check_places(settings: Settings) -> None:
    """Does nothing for folders.

    Raises:
        StagingDenied: the bucket is missing, the keys are wrong, or access is denied: a person must change something.
        StagingUnavailable: the endpoint does not answer.
        ConfigError: an option or a reference of one cannot be used.
    """
    found = {"staging": staging_location(settings), "shared": quarantine_location(settings)}
    stores = {location.base: (name, location) for name, location in found.items() if is_store(location.uri)}
    for name, location in stores.values():
        _check(name, location)


def _check(name: str, location: Location) -> None:
    try:
        StoreFolder(location).check()
    except FileNotFoundError:  # nothing has the prefix yet
        return
    except OSError as error:
        kind = StagingDenied if is_final(error) else StagingUnavailable
        raise kind(f"{name}: the place '{location.uri}' cannot be used: {error}", hint=hint_for(error)) from None
