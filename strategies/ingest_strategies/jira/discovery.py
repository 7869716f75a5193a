"""Collects the datasets of a Jira site: tables, columns, counts, and the short lists that filter options come from."""

from collections.abc import Iterator
from functools import partial

import msgspec
from msgspec import Struct
from pydantic import JsonValue

from ingest_ray.sdk.types import Dataset, Endpoint
from ingest_strategies.atlassian.deployment import CLOUD
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.atlassian.partial_listing import list_partly
from ingest_strategies.atlassian.query_text import quoted
from ingest_strategies.atlassian.tables import dataset_of
from ingest_strategies.jira.api.client import Api
from ingest_strategies.jira.api.deployment import detect_api, open_api
from ingest_strategies.jira.api.jql import filter_conditions
from ingest_strategies.jira.api.responses import Field
from ingest_strategies.jira.columns import JiraTable
from ingest_strategies.jira.filters import JiraFilter
from ingest_strategies.jira.list_tables import FIELD_OPTIONS
from ingest_strategies.jira.reading.value_types import schema_text, shape_of
from ingest_strategies.jira.tables import ISSUES, LISTS, PROJECTS, TABLES, USERS, FieldColumn, issue_columns

MOST_NAMED = 20
MOST_OPTIONS = 1_000  # a catalog entry stays small; there are more people than that on some sites


class OptionFields(Struct, gc=False):
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
        site_url = api.client.read_server_info().baseUrl
        fields = api.client.list_fields()
        projects = [attempted(_option_fields, body, OptionFields()) for body in api.list_projects()]
        issues, uncounted = count_issues(api, selected_keys(api, [project.key or "" for project in projects]))
        options, faults = {}, dict[str, str | None]()
        for name, list_name in LISTS.items():
            options[name], faults[name] = list_partly(api.client, name, partial(list_options, api, list_name))
        users, faults[USERS.name] = list_partly(api.client, USERS.name, api.list_users)
        faults[ISSUES.name] = uncounted
        for table in TABLES.values():
            facts: dict[str, JsonValue] = {"deployment": api.deployment, "cursor": table.cursor, "site_url": site_url}
            if fault := faults.get(table.name):
                facts["fault"] = fault  # what of it could not be had, and why
            rows: int | None = None
            if table is PROJECTS:
                rows, facts["options"] = len(projects), [option(project) for project in projects[:MOST_OPTIONS]]
            elif table is USERS:
                rows = None if faults[USERS.name] else len(users)
                facts["options"] = [
                    option(attempted(_option_fields, body, OptionFields())) for body in users[:MOST_OPTIONS]
                ]
            elif table.name in options:
                rows, facts["options"] = len(options[table.name]), options[table.name][:MOST_OPTIONS]
            elif table is ISSUES:
                rows = issues
                facts |= field_facts(api, fields)
            elif table is FIELD_OPTIONS:
                facts["fields"] = [field.id for field in custom_fields(fields) if has_options(field)]
            if table.reads == "issue":
                facts["people_fields"] = [field.id for field in custom_fields(fields) if names_people(field)]
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


def columns_of(api: Api, table: JiraTable, fields: list[Field]) -> tuple[FieldColumn, ...]:
    if table is not ISSUES:
        return table.columns
    return issue_columns(custom_columns(api, fields), is_cloud=api.deployment == CLOUD)


def selected_keys(api: Api, keys: list[str]) -> list[str]:
    project_keys = api.client.config.project_keys
    return [key for key in keys if key and (not project_keys or key in project_keys)]


def count_issues(api: Api, projects: list[str]) -> tuple[int | None, str | None]:
    """The issues of all projects that can be counted, and which cannot."""
    conditions = filter_conditions(api.client.config, JiraFilter())

    def count(key: str) -> tuple[list[int], str | None]:
        where = " AND ".join([f"project = {quoted(key)}", *conditions])
        return list_partly(api.client, f"issues of project '{key}'", lambda: [api.count(where)])

    counted = dict(zip(projects, api.client.map_concurrently(count, iter(projects)), strict=True))
    uncounted = [f"{key}: {fault}" for key, (_, fault) in counted.items() if fault]
    known = [number for numbers, _ in counted.values() for number in numbers]
    return sum(known) if known or not uncounted else None, "; ".join(uncounted[:MOST_NAMED]) or None


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
            description=field.name or None,
        )
        for field in custom_fields(fields)
    ]


def has_options(field: Field) -> bool:
    """Whether a custom field is a list of options: the context of any other one has none."""
    schema = field.schema or {}
    return schema.get("type") in ("option", "option-with-child") or schema.get("items") == "option"


def names_people(field: Field) -> bool:
    """Whether a custom field holds users or groups, which permissions may be granted to."""
    schema = field.schema or {}
    return bool({str(schema.get("type")), str(schema.get("items"))} & {"user", "group"})


def field_facts(api: Api, fields: list[Field]) -> dict[str, JsonValue]:
    """`custom`: shape by field; `types`: Jira's own type by field, to notice a change."""
    return {
        "custom": {column.name: column.shape for column in custom_columns(api, fields)},
        "types": {field.id: schema_text(field) for field in custom_fields(fields)},
    }


def list_options(api: Api, name: str) -> list[JsonValue]:
    found = (attempted(_option_fields, body) for body in api.list_objects(name))
    return [option(fields) for fields in found if fields is not None]


def option(fields: OptionFields) -> JsonValue:
    """An option of a filter, with the fields that are present."""
    document: JsonValue = msgspec.to_builtins(fields)
    assert isinstance(document, dict)
    return {name: value for name, value in document.items() if value is not None}
