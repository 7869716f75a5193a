"""Collects the datasets of a Jira site: tables, columns, counts, and the short lists that filter options come from."""

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct
from pydantic import JsonValue

from ingest_ray.sdk.types import Dataset, Endpoint
from ingest_strategies.atlassian.deployment import CLOUD
from ingest_strategies.atlassian.tables import Table, dataset_of
from ingest_strategies.jira.api.client import Api
from ingest_strategies.jira.api.deployment import detect_api, open_api
from ingest_strategies.jira.api.jql import filter_conditions
from ingest_strategies.jira.api.responses import Field, decoder
from ingest_strategies.jira.filters import JiraFilter
from ingest_strategies.jira.reading.value_types import schema_text, shape_of
from ingest_strategies.jira.tables import ISSUES, LISTS, PROJECTS, TABLES, USERS, FieldColumn, issue_columns

MOST_OPTIONS = 1_000  # a catalog entry stays small; there are more people than that on some sites


class OptionFields(Struct):
    """What identifies and names a project, a user, a status and the like."""

    id: str | None = None
    key: str | None = None
    accountId: str | None = None
    name: str | None = None
    displayName: str | None = None
    emailAddress: str | None = None


_option_fields = decoder(OptionFields)


def collect_datasets(endpoint: Endpoint) -> Iterator[Dataset]:
    with detect_api(endpoint) as api:
        api.client.read_account()
        fields = api.client.list_fields()
        projects = [_option_fields(body) for body in api.list_projects()]
        issues = count_issues(api, selected_keys(api, [project.key or "" for project in projects]))
        options = {name: list_options(api, list_name) for name, list_name in LISTS.items()}
        users = list(api.list_users())
        for table in TABLES.values():
            facts: dict[str, JsonValue] = {"deployment": api.deployment, "cursor": table.cursor}
            rows: int | None = None
            if table is PROJECTS:
                rows, facts["options"] = len(projects), [option(project) for project in projects[:MOST_OPTIONS]]
            elif table is USERS:
                rows = len(users)
                facts["options"] = [option(_option_fields(body)) for body in users[:MOST_OPTIONS]]
            elif table.name in options:
                rows, facts["options"] = len(options[table.name]), options[table.name][:MOST_OPTIONS]
            elif table is ISSUES:
                rows = issues
                facts |= field_facts(api, fields)
            yield dataset_of(endpoint, table, rows, facts, columns=columns_of(api, table, fields))
        api.client.read_account()


def describe_dataset(endpoint: Endpoint, dataset: Dataset) -> Dataset | None:
    """A site decides the columns of issues only; all others are fixed in this version of the strategy."""
    table = TABLES.get(dataset.name)
    if table is None:
        return None
    with open_api(endpoint, dataset) as api:
        fields = api.client.list_fields() if table is ISSUES else []
        facts = dict(dataset.facts) | (field_facts(api, fields) if table is ISSUES else {})
        return dataset_of(endpoint, table, dataset.estimated_rows, facts, columns=columns_of(api, table, fields))


def columns_of(api: Api, table: Table[FieldColumn], fields: list[Field]) -> tuple[FieldColumn, ...]:
    if table is not ISSUES:
        return table.columns
    return issue_columns(custom_columns(api, fields), is_cloud=api.deployment == CLOUD)


def selected_keys(api: Api, keys: list[str]) -> list[str]:
    project_keys = api.client.config.project_keys
    return [key for key in keys if key and (not project_keys or key in project_keys)]


def count_issues(api: Api, projects: list[str]) -> int:
    conditions = filter_conditions(api.client.config, JiraFilter())

    def count(key: str) -> int:
        return api.count(" AND ".join([f'project = "{key}"', *conditions]))

    return sum(api.client.map_concurrently(count, iter(projects)))


def custom_fields(fields: list[Field]) -> list[Field]:
    return sorted((field for field in fields if field.custom and field.schema), key=lambda field: field.id)


def custom_columns(api: Api, fields: list[Field]) -> list[FieldColumn]:
    """A column has the field's id as its name: it is unique and survives a rename of the field."""
    numbers, is_cloud = api.client.config.number_type, api.deployment == CLOUD
    return [
        FieldColumn(
            field.id,
            field.id,
            shape_of(field, is_cloud=is_cloud, numbers=numbers),
            schema_text(field),
            description=field.name,
        )
        for field in custom_fields(fields)
    ]


def field_facts(api: Api, fields: list[Field]) -> dict[str, JsonValue]:
    """`custom`: shape by field; `types`: Jira's own type by field, to notice a change."""
    return {
        "custom": {column.name: column.shape for column in custom_columns(api, fields)},
        "types": {field.id: schema_text(field) for field in custom_fields(fields)},
    }


def list_options(api: Api, name: str) -> list[JsonValue]:
    return [option(_option_fields(body)) for body in api.client.list_objects(name)]


def option(fields: OptionFields) -> JsonValue:
    """An option of a filter, with the fields that are present."""
    document: JsonValue = msgspec.to_builtins(fields)
    assert isinstance(document, dict)
    return {name: value for name, value in document.items() if value is not None}


def list_bodies(api: Api, name: str) -> Iterator[Raw]:
    """Every object of a dataset that is one list."""
    if name == PROJECTS.name:
        return api.list_projects()
    if name == USERS.name:
        return api.list_users()
    return iter(api.client.list_objects(LISTS[name]))
