"""What a unit's configuration keeps: `spaceKeys`, `updatedFrom`, under `confluenceFilter` or bare."""

from ingest_ray.sdk.types import UnitSpec
from ingest_strategies.atlassian.filters import Texts, UnitFilter, parsed_filter


class ConfluenceFilter(UnitFilter):
    spaceKeys: Texts = ()


def filter_of(spec: UnitSpec) -> ConfluenceFilter:
    return parsed_filter(spec, ConfluenceFilter, "confluenceFilter", "Confluence")
