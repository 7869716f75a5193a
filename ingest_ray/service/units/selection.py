"""The units that a command names, by id or by pattern."""

from collections.abc import Sequence
from difflib import get_close_matches

from ingest_ray.catalog import unit_configs
from ingest_ray.catalog.endpoints import source
from ingest_ray.sdk.errors import UnitNotFound
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.rules import is_match, is_pattern


def select_units(
    installation: Installation, endpoint_id: str, names: Sequence[str], *, only_enabled: bool = True
) -> list[str]:
    """Each once, in the order in which they are named. A name without wildcards, or that is a unit's own id, stays as it is: the gate says
    what is wrong with it.

    Raises:
        EndpointNotFound: no source has that id.
        UnitNotFound: a pattern selects no unit that is configured (and enabled); it names what is similar.
    """
    if not any(map(is_pattern, names)):
        return list(dict.fromkeys(names))
    with installation.catalog.read() as connection:
        source(connection, endpoint_id)
        configured = [item.config for item in unit_configs.listed(connection, endpoint_id)]
    known = {config.unit_id for config in configured}
    offered = [config.unit_id for config in configured if config.enabled or not only_enabled]
    found: list[str] = []
    for name in names:
        matching = (
            [name] if name in known or not is_pattern(name) else [each for each in offered if is_match(name, each)]
        )
        if not matching:
            what = "enabled unit" if only_enabled else "configured unit"
            raise UnitNotFound(
                f"no {what} of endpoint '{endpoint_id}' matches '{name}'",
                hint=similar_units(name, offered, endpoint_id),
            )
        found += matching
    return list(dict.fromkeys(found))


def similar_units(name: str, offered: Sequence[str], endpoint_id: str) -> str:
    """The hint for a name or pattern that selects nothing."""
    similar = get_close_matches(name, offered, n=3) or offered[:5]
    return f"there is: {', '.join(similar) or 'none'}; ingest-ray units {endpoint_id} shows all"
