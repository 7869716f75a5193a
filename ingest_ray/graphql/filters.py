"""GraphQL types of filters for Jira and Confluence.

All filters are one mechanism: a document that the unit's strategy understands, and options that its collection put into the
catalog.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import strawberry
from pydantic import JsonValue

from ingest_ray.graphql.conversions import parse_time
from ingest_ray.service.endpoints.filter_options import Options

JIRA, CONFLUENCE = "jiraFilter", "confluenceFilter"


@dataclass(frozen=True)
class Choice:
    """One field of a filter, with values to choose from that the collection of `dataset` put into the catalog."""

    field: str
    label: str
    dataset: str
    value: str
    shown: tuple[str, ...]


@dataclass(frozen=True)
class FilterForm:
    """A filter as a form: its name in a configuration and its choices; each form also has `updatedFrom`."""

    name: str
    choices: tuple[Choice, ...]


FORMS: Mapping[str, FilterForm] = {
    "jira": FilterForm(
        JIRA,
        (
            Choice("projectKeys", "Projects", "jira.projects", "key", ("name",)),
            Choice("statuses", "Statuses", "jira.statuses", "name", ()),
            Choice("assigneeIds", "Assignees", "jira.users", "accountId", ("displayName", "emailAddress")),
        ),
    ),
    "confluence": FilterForm(CONFLUENCE, (Choice("spaceKeys", "Spaces", "confluence.space", "key", ("name",)),)),
}


@strawberry.type
class JiraIngestionFilter:
    project_keys: list[str] | None
    statuses: list[str] | None
    assignee_ids: list[str] | None
    updated_from: datetime | None

    @classmethod
    def of(cls, filters: Mapping[str, JsonValue]) -> Self | None:
        stored = filters.get(JIRA)
        if not isinstance(stored, dict):
            return None
        return cls(
            project_keys=_texts(stored.get("projectKeys")),
            statuses=_texts(stored.get("statuses")),
            assignee_ids=_texts(stored.get("assigneeIds")),
            updated_from=parse_time(_text(stored.get("updatedFrom"))),
        )


@strawberry.input
class JiraIngestionFilterInput:
    project_keys: list[str] | None = None
    statuses: list[str] | None = None
    assignee_ids: list[str] | None = None
    updated_from: datetime | None = None

    def as_document(self) -> dict[str, JsonValue]:
        return _set(
            projectKeys=self.project_keys,
            statuses=self.statuses,
            assigneeIds=self.assignee_ids,
            updatedFrom=self.updated_from,
        )


@strawberry.type
class ConfluenceIngestionFilter:
    space_keys: list[str] | None
    updated_from: datetime | None

    @classmethod
    def of(cls, filters: Mapping[str, JsonValue]) -> Self | None:
        stored = filters.get(CONFLUENCE)
        if not isinstance(stored, dict):
            return None
        return cls(
            space_keys=_texts(stored.get("spaceKeys")), updated_from=parse_time(_text(stored.get("updatedFrom")))
        )


@strawberry.input
class ConfluenceIngestionFilterInput:
    space_keys: list[str] | None = None
    updated_from: datetime | None = None

    def as_document(self) -> dict[str, JsonValue]:
        return _set(spaceKeys=self.space_keys, updatedFrom=self.updated_from)


def filters_of(
    jira: JiraIngestionFilterInput | None, confluence: ConfluenceIngestionFilterInput | None
) -> dict[str, JsonValue] | None:
    """None if neither is given: the stored filter stays. An empty input removes the filter."""
    if jira is None and confluence is None:
        return None
    filters: dict[str, JsonValue] = {}
    for name, value in ((JIRA, jira), (CONFLUENCE, confluence)):
        if value is not None and (inner := value.as_document()):
            filters[name] = inner
    return filters


@strawberry.type
class JiraFilterProjectOption:
    key: str
    name: str | None


@strawberry.type
class JiraFilterUserOption:
    account_id: str
    display_name: str | None
    email: str | None


@strawberry.type
class JiraFilterStatusOption:
    id: str
    name: str
    category: str | None


@strawberry.type
class JiraIngestionFilterOptions:
    projects: list[JiraFilterProjectOption]
    users: list[JiraFilterUserOption]
    statuses: list[JiraFilterStatusOption]

    @classmethod
    def of(cls, options: Options) -> Self:
        return cls(
            projects=[
                JiraFilterProjectOption(key=str(option["key"]), name=_text(option.get("name")))
                for option in _with(options, "jira.projects", "key")
            ],
            users=[
                JiraFilterUserOption(
                    account_id=str(option.get("accountId") or option.get("key") or option.get("name")),
                    display_name=_text(option.get("displayName")),
                    email=_text(option.get("emailAddress")),
                )
                for option in options.get("jira.users", ())
                if option.get("accountId") or option.get("key") or option.get("name")
            ],
            statuses=[
                JiraFilterStatusOption(
                    id=str(option["id"]),
                    name=str(option.get("name") or option["id"]),
                    category=_text(option.get("category")),
                )
                for option in _with(options, "jira.statuses", "id")
            ],
        )


@strawberry.type
class ConfluenceSpaceOption:
    key: str
    name: str | None


@strawberry.type
class ConfluenceIngestionFilterOptions:
    spaces: list[ConfluenceSpaceOption]

    @classmethod
    def of(cls, options: Options) -> Self:
        spaces = _with(options, "confluence.space", "key")
        return cls(
            spaces=[ConfluenceSpaceOption(key=str(option["key"]), name=_text(option.get("name"))) for option in spaces]
        )


def _with(options: Options, dataset: str, field: str) -> Sequence[Mapping[str, Any]]:
    return [option for option in options.get(dataset, ()) if option.get(field)]


def _set(**values: list[str] | datetime | None) -> dict[str, JsonValue]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else list(value)
        for name, value in values.items()
        if value
    }


def _texts(value: JsonValue) -> list[str] | None:
    return [str(item) for item in value] if isinstance(value, list) else None


def _text(value: JsonValue) -> str | None:
    return None if value is None else str(value)
