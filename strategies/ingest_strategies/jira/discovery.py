"""What there is to read: tables, columns, counts, and the short lists that filter options are made of."""

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct
from pydantic import JsonValue

from ingest_ray.sdk.types import Dataset, Endpoint, RunMode, Unit
from ingest_strategies.jira.api.client import Api
from ingest_strategies.jira.api.deployment import asked
from ingest_strategies.jira.api.deployment import known as opened
from ingest_strategies.jira.api.jql import kept
from ingest_strategies.jira.api.responses import Field, decoder
from ingest_strategies.jira.filters import JiraFilter
from ingest_strategies.jira.reading.value_types import schema_text, shape_of
from ingest_strategies.jira.tables import ISSUES, LISTS, PROJECTS, TABLES, USERS, Part, Table, issue_parts

MOST_OPTIONS = 1_000  # a catalog entry stays small; there are more people than that on some sites


class Listed(Struct):
    id: str | None = None
    key: str | None = None
    accountId: str | None = None
    name: str | None = None
    displayName: str | None = None
    emailAddress: str | None = None


_listed = decoder(Listed)


def collected(endpoint: Endpoint) -> Iterator[Dataset]:
    with asked(endpoint) as api:
        api.web.myself()
        fields = api.web.fields()
        projects = [_listed(body) for body in api.projects()]
        chosen = chosen_projects(api, [project.key or "" for project in projects])
        issues = issue_count(api, chosen)
        options = {name: options_of(api, list_name) for name, list_name in LISTS.items()}
        users = list(api.users())
        for table in TABLES.values():
            facts: dict[str, JsonValue] = {"deployment": api.deployment, "cursor": table.cursor}
            rows: int | None = None
            if table is PROJECTS:
                rows, facts["options"] = len(projects), [option(project) for project in projects[:MOST_OPTIONS]]
            elif table is USERS:
                rows = len(users)
                facts["options"] = [option(_listed(body)) for body in users[:MOST_OPTIONS]]
            elif table.name in options:
                rows, facts["options"] = len(options[table.name]), options[table.name][:MOST_OPTIONS]
            elif table is ISSUES:
                rows = issues
                facts |= field_facts(api, fields)
            yield dataset_of(endpoint, api, table, fields, rows, facts)
        api.web.myself()


def described(endpoint: Endpoint, dataset: Dataset) -> Dataset | None:
    """Only issues have columns that a site decides; everything else is as this version of the strategy knows it."""
    table = TABLES.get(dataset.name)
    if table is None:
        return None
    with opened(endpoint, dataset) as api:
        fields = api.web.fields() if table is ISSUES else []
        facts = dict(dataset.facts) | (field_facts(api, fields) if table is ISSUES else {})
        return dataset_of(endpoint, api, table, fields, dataset.estimated_rows, facts)


def dataset_of(
    endpoint: Endpoint, api: Api, table: Table, fields: list[Field], rows: int | None, facts: dict[str, JsonValue]
) -> Dataset:
    parts = table.parts
    if table is ISSUES:
        parts = issue_parts(custom_parts(api, fields), is_cloud=api.deployment == "Cloud")
    return Dataset(
        endpoint_id=endpoint.endpoint_id,
        name=table.name,
        kind=table.kind,
        columns=tuple(part.as_column() for part in parts),
        primary_key=table.key,
        estimated_rows=rows,
        description=table.title,
        labels=("jira", table.kind),
        facts=facts,
    )


def chosen_projects(api: Api, keys: list[str]) -> list[str]:
    wanted = api.web.config.project_keys
    return [key for key in keys if key and (not wanted or key in wanted)]


def issue_count(api: Api, projects: list[str]) -> int:
    conditions = kept(api.web.config, JiraFilter())
    return sum(api.web.spread(lambda key: api.count(" AND ".join([f'project = "{key}"', *conditions])), iter(projects)))


def custom_fields(fields: list[Field]) -> list[Field]:
    return sorted((field for field in fields if field.custom and field.schema), key=lambda field: field.id)


def custom_parts(api: Api, fields: list[Field]) -> list[Part]:
    """Columns are named by the field's id, which is unique and stays when somebody renames the field."""
    numbers, is_cloud = api.web.config.number_type, api.deployment == "Cloud"
    return [
        Part(
            field.id,
            field.id,
            shape_of(field, is_cloud=is_cloud, numbers=numbers),
            schema_text(field),
            description=field.name,
        )
        for field in custom_fields(fields)
    ]


def field_facts(api: Api, fields: list[Field]) -> dict[str, JsonValue]:
    """`custom`: shape by field; `types`: what Jira calls its type, to see that it is still the same."""
    return {
        "custom": {part.column: part.shape for part in custom_parts(api, fields)},
        "types": {field.id: schema_text(field) for field in custom_fields(fields)},
    }


def options_of(api: Api, name: str) -> list[JsonValue]:
    return [option(_listed(body)) for body in api.web.raws(name)]


def option(found: Listed) -> JsonValue:
    """What a person chooses from: only what is there."""
    document: JsonValue = msgspec.to_builtins(found)
    assert isinstance(document, dict)
    return {name: value for name, value in document.items() if value is not None}


def bodies(api: Api, name: str) -> Iterator[Raw]:
    """Every object of a dataset that is one list."""
    if name == PROJECTS.name:
        return api.projects()
    if name == USERS.name:
        return api.users()
    return iter(api.web.raws(LISTS[name]))


def unit_of(dataset: Dataset, template: str) -> Unit | None:
    table = TABLES.get(dataset.name)
    if table is None or not table.is_unit:
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
