"""Confluence's unit filters: `spaceKeys`, `updatedFrom`, under `confluenceFilter` or bare."""

from ingest_ray.sdk.types import UnitSpec
from ingest_strategies.atlassian.filters import Texts, UnitFilter, parse_filter


class ConfluenceFilter(UnitFilter):
    spaceKeys: Texts = ()


def filter_of(spec: UnitSpec) -> ConfluenceFilter:
    return parse_filter(spec, ConfluenceFilter, "confluenceFilter", "Confluence")
