"""One short request to the object store of a lake: an ordinary one is repeated for minutes where the endpoint is away."""

from collections.abc import Mapping

from ingest_ray.files.folder import hint_for
from ingest_ray.files.store_client import is_store
from ingest_ray.files.store_errors import is_final
from ingest_ray.files.store_folder import StoreFolder
from ingest_ray.sdk.errors import SinkRejected, SinkUnavailable
from ingest_ray.sdk.location import Location


def check_reach(uri: str, options: Mapping[str, str]) -> None:
    """Does nothing for a local folder. Raises as `ReachChecker` says."""
    if not is_store(uri):
        return
    try:
        StoreFolder(Location(uri, options)).check()
    except FileNotFoundError:  # nothing has the prefix yet
        return
    except OSError as error:
        kind = SinkRejected if is_final(error) else SinkUnavailable
        raise kind(f"the lake at '{uri}' cannot be reached: {error}", hint=hint_for(error)) from None
