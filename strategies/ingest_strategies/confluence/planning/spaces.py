"""Selects the spaces that an endpoint and a unit read."""

from ingest_ray.http.errors import BrokenAnswer
from ingest_strategies.confluence.api.contract import Api, Space
from ingest_strategies.confluence.filters import ConfluenceFilter


def select_spaces(api: Api, unit_filter: ConfluenceFilter, *, keyless: bool = False) -> list[Space]:
    """The site's spaces that the endpoint and the unit's filter select.

    Raises `BrokenAnswer` for one without a key, except where spaces are rows themselves (`keyless`): its content cannot be found, and
    must not be taken for none.
    """
    spaces = list(api.list_spaces())
    for space in spaces:
        if not space.key and not keyless:
            raise BrokenAnswer(f"space {space.id} has no key")
    return [
        space
        for space in spaces
        if is_selected(api, space) and (not unit_filter.spaceKeys or space.key in unit_filter.spaceKeys)
    ]


def is_selected(api: Api, space: Space) -> bool:
    """By the endpoint. A space named in `space_keys` is read even where it is archived or personal."""
    config = api.client.config
    if config.space_keys:
        return space.key in config.space_keys
    if space.is_archived and not config.include_archived:
        return False
    return space.type != "personal" or config.include_personal
