"""Jira's unit filters: `projectKeys`, `statuses`, `assigneeIds`, `updatedFrom`, under `jiraFilter` or bare."""

from ingest_ray.sdk.types import UnitSpec
from ingest_strategies.atlassian.filters import Texts, UnitFilter, parse_filter


class JiraFilter(UnitFilter):
    projectKeys: Texts = ()
    statuses: Texts = ()
    assigneeIds: Texts = ()


def filter_of(spec: UnitSpec) -> JiraFilter:
    return parse_filter(spec, JiraFilter, "jiraFilter", "Jira")
