"""Selects the spaces that an endpoint and a unit read."""

from ingest_strategies.confluence.api.contract import Api, Space
from ingest_strategies.confluence.filters import ConfluenceFilter


def select_spaces(api: Api, unit_filter: ConfluenceFilter, *, keyless: bool = False) -> list[Space]:
    """The site's spaces that the endpoint and the unit's filter select; those without a key only where they are rows themselves."""
    return [
        space
        for space in api.list_spaces()
        if (space.key or keyless)
        and is_selected(api, space)
        and (not unit_filter.spaceKeys or space.key in unit_filter.spaceKeys)
    ]


def is_selected(api: Api, space: Space) -> bool:
    """By the endpoint. A space named in `space_keys` is read even where it is archived or personal."""
    config = api.client.config
    if config.space_keys:
        return space.key in config.space_keys
    if space.is_archived and not config.include_archived:
        return False
    return space.type != "personal" or config.include_personal
