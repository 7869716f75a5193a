"""What the operands of a JQL clause name: instants, choices, projects, people and issues; errors have Jira's wording."""

from typing import Any

from ingest_ray.simulators.atlassian.content.clock import MINUTE_MS
from ingest_ray.simulators.atlassian.jira.issue import Issue
from ingest_ray.simulators.atlassian.jira.issue_store import IssueStore
from ingest_ray.simulators.atlassian.query.dates import NonexistentLocalTime, function_ms, period_ms, wall_ms
from ingest_ray.simulators.atlassian.query.grammar import Clause, Empty, Function, Operand, QueryError, Value
from ingest_ray.simulators.atlassian.query.jql_operators import EQUAL

_DATE_WORDS = (
    "Valid formats include: 'yyyy/MM/dd HH:mm', 'yyyy-MM-dd HH:mm', 'yyyy/MM/dd', 'yyyy-MM-dd', or a period format e.g. "
    "'-5d', '4w 2d'."
)


class JqlOperands:
    """Looks up operands for one account: in its profile zone, over what it may see. `relative`: whether one depended on the clock."""

    def __init__(self, store: IssueStore, *, cloud: bool) -> None:
        self.store = store
        self.cloud = cloud
        self.zone = store.people[0].zone
        self.relative = False

    def allow(self, clause: Clause, operators: frozenset[str]) -> None:
        if clause.operator not in operators:
            raise QueryError(f"The operator '{clause.operator}' is not supported by the '{clause.field}' field.")

    def instant(self, clause: Clause, operand: Operand) -> int:
        if isinstance(operand, Function):
            self.relative = True
            instant = function_ms(operand.name, operand.arguments, self.store.clock.now(), self.zone)
            if instant is None:
                raise QueryError(f"Unable to find JQL function '{operand.name}({', '.join(operand.arguments)})'.")
            return instant
        if isinstance(operand, Empty):
            raise QueryError(f"The operator '{clause.operator}' is not supported by the '{clause.field}' field.")
        text = operand.text
        if not operand.quoted and text.lstrip("-").isdecimal():
            number = int(text)
            return number // MINUTE_MS * MINUTE_MS if "epoch-minutes" in self.store.traps else number
        try:
            instant = wall_ms(text, self.zone)
        except NonexistentLocalTime:
            raise QueryError(f"Date value '{text}' for field '{clause.field}' is invalid. {_DATE_WORDS}") from None
        if instant is not None:
            return instant
        shift = period_ms(text)
        if shift is None:
            raise QueryError(f"Date value '{text}' for field '{clause.field}' is invalid. {_DATE_WORDS}")
        self.relative = True
        return (self.store.clock.now() + shift) // MINUTE_MS * MINUTE_MS

    def texts(self, clause: Clause) -> list[str]:
        self.allow(clause, EQUAL)
        texts = []
        for operand in clause.operands:
            if isinstance(operand, Function):
                raise QueryError(f"Unable to find JQL function '{operand.name}({', '.join(operand.arguments)})'.")
            if isinstance(operand, Value):
                texts.append(operand.text)
        return texts

    def named(self, clause: Clause, choices: list[Any]) -> set[int]:
        indexes = set()
        for text in self.texts(clause):
            matches = [n for n, c in enumerate(choices) if text == c.id or text.lower() == c.name.lower()]
            if not matches:
                raise QueryError(f"The value '{text}' does not exist for the field '{clause.field}'.")
            indexes.update(matches)
        return indexes

    def resolutions(self, clause: Clause) -> set[int]:
        if any(isinstance(o, Value) and o.text.lower() == "unresolved" for o in clause.operands):
            return {-1}
        return self.named(clause, self.store.configuration.resolutions)

    def projects(self, clause: Clause) -> set[int]:
        matches = set()
        for text in self.texts(clause):
            known = [
                p.index for p in self.store.configuration.projects
                if text.lower() in (p.key.lower(), p.id, p.name.lower()) and not p.deleted
            ]  # fmt: skip
            if not known:
                raise QueryError(f"The value '{text}' does not exist for the field 'project'.")
            matches.update(known)
        return matches

    def people(self, clause: Clause) -> set[int]:
        self.allow(clause, EQUAL)
        matches = set()
        for operand in clause.operands:
            if isinstance(operand, Function):
                if operand.name.lower() == "currentuser":
                    matches.add(0)
                elif operand.name.lower() == "membersof":
                    matches.update(n for g in self.store.groups if g.name == operand.arguments[0] for n in g.members)
                else:
                    raise QueryError(f"Unable to find JQL function '{operand.name}({', '.join(operand.arguments)})'.")
            elif isinstance(operand, Value):
                known = [
                    p.index for p in self.store.people
                    if operand.text in (p.account_id, p.username, p.key, p.email, p.display)
                ]  # fmt: skip
                if not known:
                    raise QueryError(f"The value '{operand.text}' does not exist for the field '{clause.field}'.")
                matches.update(known)
        return matches

    def issue(self, clause: Clause, operand: Operand) -> Issue | None:
        """The issue that a value names by number or key, also by a key that it had before it was moved."""
        if isinstance(operand, Function):
            raise QueryError(f"Unable to find JQL function '{operand.name}({', '.join(operand.arguments)})'.")
        issue = self.store.find(operand.text) if isinstance(operand, Value) else None
        if issue is None and isinstance(operand, Value) and (not self.cloud or "missing-issue-400" in self.store.traps):
            if operand.text.isdecimal():
                raise QueryError(f"A value with ID '{operand.text}' does not exist for the field '{clause.field}'.")
            raise QueryError(f"An issue with key '{operand.text}' does not exist for field '{clause.field}'.")
        return issue

    def issues(self, clause: Clause) -> set[int]:
        self.allow(clause, EQUAL)
        found = [self.issue(clause, operand) for operand in clause.operands]
        return {issue.id for issue in found if issue is not None}
