"""Collects the datasets of a Confluence site: the tables, their sizes, and the spaces that filter options come from."""

from collections.abc import Iterator, Sequence
from functools import partial

from pydantic import JsonValue

from ingest_ray.sdk.types import Dataset, Endpoint
from ingest_strategies.atlassian.deployment import CLOUD
from ingest_strategies.atlassian.estimates import ROW_BYTES
from ingest_strategies.atlassian.partial_listing import list_partly
from ingest_strategies.atlassian.tables import dataset_of
from ingest_strategies.confluence.api.contract import Api, Space
from ingest_strategies.confluence.api.cql import groups_of_spaces, in_space, in_spaces
from ingest_strategies.confluence.api.deployment import detect_api
from ingest_strategies.confluence.api.search import count_content
from ingest_strategies.confluence.listed_tables import CUSTOM_CONTENTS
from ingest_strategies.confluence.planning.spaces import is_selected
from ingest_strategies.confluence.planning.timezone import find_zone
from ingest_strategies.confluence.tables import PAGES, SPACES, TABLES, ContentTable

MOST_NAMED = 20
MOST_OPTIONS = 1_000  # a catalog entry stays small; there are sites with more spaces


def collect_datasets(endpoint: Endpoint) -> Iterator[Dataset]:
    with detect_api(endpoint) as api:
        api.client.read_account()
        spaces = [space for space in api.list_spaces() if space.key]
        selected = [space for space in spaces if is_selected(api, space)]
        pages, uncounted = count_pages(api, selected)
        facts: dict[str, JsonValue] = {
            "deployment": api.deployment,
            "root": api.client.root,
            "web_root": read_web_root(api),
            "zone": find_zone(api.client, api.client.read_clock_ms()),
        }
        for table in offered_tables(api):
            rows: int | None = None
            more: dict[str, JsonValue] = {"cursor": table.cursor}
            if table is SPACES:
                rows = len(selected)
                more["options"] = [option(space, pages.get(space.key)) for space in spaces[:MOST_OPTIONS]]
            elif table is PAGES:
                rows = sum(pages.values())
                more |= {"fault": uncounted} if uncounted else {}
            elif table.kind in ("comment", "attachment"):
                counts, fault = list_partly(api.client, table.name, partial(count_rows, api, selected, table))
                rows = None if fault else sum(counts)
                more |= {"fault": fault} if fault else {}
            yield make_dataset(endpoint, table, rows, facts | more)
        api.client.read_account()


def offered_tables(api: Api) -> Iterator[ContentTable]:
    """Data Center lacks some; types of apps' content must be named."""
    for table in TABLES.values():
        if table is CUSTOM_CONTENTS and not api.client.config.custom_content_types:
            continue
        if api.deployment == CLOUD or not table.is_cloud_only:
            yield table


def describe_dataset(endpoint: Endpoint, dataset: Dataset) -> Dataset | None:
    """The columns are fixed in this version of the strategy; no site decides any of them."""
    table = TABLES.get(dataset.name)
    return None if table is None else make_dataset(endpoint, table, dataset.estimated_rows, dict(dataset.facts))


def make_dataset(endpoint: Endpoint, table: ContentTable, rows: int | None, facts: dict[str, JsonValue]) -> Dataset:
    return dataset_of(endpoint, table, rows, facts, row_bytes=ROW_BYTES if table is PAGES else None)


def count_pages(api: Api, spaces: Sequence[Space]) -> tuple[dict[str, int], str | None]:
    """The pages of each space that can be counted, and which cannot."""

    def count(space: Space) -> tuple[list[int], str | None]:
        where = in_space(space.key, PAGES.content)
        return list_partly(api.client, f"pages of space '{space.key}'", lambda: [count_content(api.client, where)])

    keys = [space.key for space in spaces]
    counted = dict(zip(keys, api.client.map_concurrently(count, iter(spaces)), strict=True))
    uncounted = [f"{key}: {fault}" for key, (_, fault) in counted.items() if fault]
    return {key: found[0] for key, (found, _) in counted.items() if found}, "; ".join(uncounted[:MOST_NAMED]) or None


def count_rows(api: Api, spaces: Sequence[Space], table: ContentTable) -> list[int]:
    keys = [space.key for space in spaces]
    return [count_content(api.client, in_spaces(part, table.content)) for part in groups_of_spaces(keys)]


def read_web_root(api: Api) -> str:
    """The prefix of links for people; behind a gateway its host is not that of the API."""
    page = api.client.read_page("api/v2/spaces" if api.deployment == CLOUD else "rest/api/space", {"limit": 1})
    return page.links.base or f"{api.client.config.own_url.removesuffix('/wiki')}{api.client.root}"


def option(space: Space, pages: int | None) -> JsonValue:
    """An option of a filter. Only spaces that the endpoint reads have `pages`."""
    fields: dict[str, JsonValue] = {"key": space.key, "name": space.name, "type": space.type, "status": space.status}
    return fields if pages is None else fields | {"pages": pages}
