"""What a unit's configuration keeps: `projectKeys`, `statuses`, `assigneeIds`, `updatedFrom`, under `jiraFilter` or bare."""

from ingest_ray.sdk.types import UnitSpec
from ingest_strategies.atlassian.filters import Texts, UnitFilter, parsed_filter


class JiraFilter(UnitFilter):
    projectKeys: Texts = ()
    statuses: Texts = ()
    assigneeIds: Texts = ()


def filter_of(spec: UnitSpec) -> JiraFilter:
    return parsed_filter(spec, JiraFilter, "jiraFilter", "Jira")
