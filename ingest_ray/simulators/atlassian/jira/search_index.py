"""The search index: per project one sorted list by (updated, id) and one by id, with only the issues that the account may see."""

from bisect import bisect_left, insort
from dataclasses import dataclass, field

from ingest_ray.simulators.atlassian.jira.issue import Issue


@dataclass(slots=True)
class ProjectIndex:
    by_updated: list[tuple[int, int]] = field(default_factory=list)
    by_id: list[int] = field(default_factory=list)


class IssueIndex:
    """Indexed issues by id. They may lag behind the current ones; `revision` changes whenever a search result could."""

    def __init__(self, projects: int) -> None:
        self.documents: dict[int, Issue] = {}
        self.projects = [ProjectIndex() for _ in range(projects)]
        self.revision = 0

    def load(self, issues: list[Issue]) -> None:
        for issue in issues:
            self.documents[issue.id] = issue
            index = self.projects[issue.project]
            index.by_updated.append((issue.updated, issue.id))
            index.by_id.append(issue.id)
        for index in self.projects:
            index.by_updated.sort()
            index.by_id.sort()
        self.revision += 1

    def remove(self, issue_id: int) -> None:
        old = self.documents.pop(issue_id, None)
        if old is None:
            return
        index = self.projects[old.project]
        del index.by_updated[bisect_left(index.by_updated, (old.updated, old.id))]
        del index.by_id[bisect_left(index.by_id, old.id)]
        self.revision += 1

    def put(self, issue: Issue) -> None:
        self.remove(issue.id)
        while issue.project >= len(self.projects):
            self.projects.append(ProjectIndex())
        self.documents[issue.id] = issue
        index = self.projects[issue.project]
        insort(index.by_updated, (issue.updated, issue.id))
        insort(index.by_id, issue.id)
        self.revision += 1

    def between(self, projects: list[int], lower: int, upper: int) -> list[int]:
        """Ids of the issues updated in [lower, upper), unsorted over projects."""
        matches: list[int] = []
        for number in projects:
            entries = self.projects[number].by_updated
            matches += [i for _, i in entries[bisect_left(entries, (lower, -1)) : bisect_left(entries, (upper, -1))]]
        return matches

    def count_between(self, projects: list[int], lower: int, upper: int) -> int:
        total = 0
        for number in projects:
            entries = self.projects[number].by_updated
            total += bisect_left(entries, (upper, -1)) - bisect_left(entries, (lower, -1))
        return total
