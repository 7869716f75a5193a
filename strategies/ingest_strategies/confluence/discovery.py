"""What there is to read: the tables, how much of each, and the spaces that filter options are made of."""

from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from ingest_ray.sdk.types import Dataset, Endpoint, RunMode, Unit
from ingest_strategies.confluence.api.client import Api, Space, count, newest
from ingest_strategies.confluence.api.cql import of_space, quoted
from ingest_strategies.confluence.api.deployment import asked
from ingest_strategies.confluence.planning import timezone
from ingest_strategies.confluence.planning.probe import PAGE_BYTES, is_read
from ingest_strategies.confluence.tables import PAGES, SPACES, TABLES, Table

MOST_OPTIONS = 1_000  # a catalog entry stays small; there are sites with more spaces
MOST_KEYS = 100  # in one condition


def collected(endpoint: Endpoint) -> Iterator[Dataset]:
    with asked(endpoint) as api:
        api.web.myself()
        spaces = list(api.spaces())
        read = [space for space in spaces if is_read(api, space)]
        pages = dict(zip([one.key for one in read], pages_of(api, read), strict=True))
        facts: dict[str, JsonValue] = {
            "deployment": api.deployment,
            "root": api.web.root,
            "web_root": web_root(api),
            "zone": found_zone(api),
        }
        for table in TABLES.values():
            rows: int | None = None
            more: dict[str, JsonValue] = {"cursor": table.cursor}
            if table is SPACES:
                rows, more["options"] = len(read), [option(one, pages.get(one.key)) for one in spaces[:MOST_OPTIONS]]
            elif table is PAGES:
                rows = sum(pages.values())
            elif table.kind in ("comment", "attachment"):
                rows = counted(api, read, table)
            yield dataset_of(endpoint, table, rows, facts | more)
        api.web.myself()


def described(endpoint: Endpoint, dataset: Dataset) -> Dataset | None:
    """Columns are as this version of the strategy knows them; no site decides any of them."""
    table = TABLES.get(dataset.name)
    return None if table is None else dataset_of(endpoint, table, dataset.estimated_rows, dict(dataset.facts))


def dataset_of(endpoint: Endpoint, table: Table, rows: int | None, facts: dict[str, JsonValue]) -> Dataset:
    return Dataset(
        endpoint_id=endpoint.endpoint_id,
        name=table.name,
        kind=table.kind,
        columns=tuple(part.as_column() for part in table.parts),
        primary_key=table.key,
        estimated_rows=rows,
        estimated_bytes=rows * PAGE_BYTES if rows is not None and table is PAGES else None,
        description=table.title,
        labels=("confluence", table.kind),
        facts=facts,
    )


def pages_of(api: Api, spaces: Sequence[Space]) -> list[int]:
    return list(api.web.spread(lambda space: count(api.web, of_space(space.key, PAGES.content)), iter(spaces)))


def counted(api: Api, spaces: Sequence[Space], table: Table) -> int:
    kinds = ", ".join(table.content)
    total = 0
    for start in range(0, len(spaces), MOST_KEYS):
        keys = ", ".join(quoted(space.key) for space in spaces[start : start + MOST_KEYS])
        total += count(api.web, f"space in ({keys}) AND type in ({kinds})")
    return total


def found_zone(api: Api) -> str:
    def find(where: str) -> timezone.Sample | None:
        return newest(api.web, where)

    return timezone.calibrated(find, lambda where: count(api.web, where) > 0, api.web.now_ms())


def web_root(api: Api) -> str:
    """What links for people begin with: through a gateway it is another host than that of the API."""
    page = api.web.page("api/v2/spaces" if api.deployment == "Cloud" else "rest/api/space", {"limit": 1})
    return page.links.base or f"{api.web.config.base_url.rstrip('/')}{api.web.root}"


def option(space: Space, pages: int | None) -> JsonValue:
    """What a person chooses from. `pages` is there for those that the endpoint reads."""
    found: dict[str, JsonValue] = {"key": space.key, "name": space.name, "type": space.type, "status": space.status}
    return found if pages is None else found | {"pages": pages}


def unit_of(dataset: Dataset, template: str) -> Unit | None:
    table = TABLES.get(dataset.name)
    if table is None:
        return None
    modes = (RunMode.INCREMENTAL, RunMode.FULL) if table.cursor else (RunMode.FULL,)
    return Unit(
        endpoint_id=dataset.endpoint_id,
        unit_id=dataset.name,
        dataset_id=dataset.dataset_id,
        kind=table.kind,
        display_name=table.title,
        driver_id=template,
        supported_modes=modes,
        default_mode=modes[0],
        cdm_model_ids=table.models,
        stats={"rows": dataset.estimated_rows, "columns": len(dataset.columns)},
    )
