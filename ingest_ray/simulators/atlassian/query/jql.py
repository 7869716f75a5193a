"""Compiles the documented subset of JQL into an index range and a predicate; errors have Jira's wording.

Quoted date-times have minute precision and are read in the zone of the account's profile; an unquoted number is epoch
milliseconds.
https://support.atlassian.com/jira-software-cloud/docs/jql-fields/

`key`, `id`, `issue` and `issuekey` are one field. Its values are looked up: `id > 10000` finds the issues of the project of issue
10000 whose key number is above that issue's, and `ORDER BY id` sorts by project key and key number. (Jira's classes
IssueIdClauseQueryFactory, IssueIdValidator, KeySystemField; https://github.com/apache/camel/pull/2958.) An issue that does not exist
is an error on Data Center; on Cloud it matches nothing, or is an error with the trap `missing-issue-400`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ingest_ray.simulators.atlassian.content.rich_text import wiki
from ingest_ray.simulators.atlassian.jira.issue import SEVERITIES, Issue
from ingest_ray.simulators.atlassian.jira.issue_store import IssueStore
from ingest_ray.simulators.atlassian.query import jql_history
from ingest_ray.simulators.atlassian.query.grammar import (
    JQL,
    Clause,
    Empty,
    History,
    Operand,
    Query,
    QueryError,
    Value,
    parse,
)
from ingest_ray.simulators.atlassian.query.jql_operands import JqlOperands
from ingest_ray.simulators.atlassian.query.jql_operators import EQUAL, ORDERED, TEXT, Predicate, among, choice, compare
from ingest_ray.simulators.atlassian.query.jql_order import ORDER_KEYS
from ingest_ray.simulators.atlassian.query.predicates import FOREVER_MS, PredicateCompiler, has_words

_ALIASES = {
    "key": "issuekey", "id": "issuekey", "issue": "issuekey", "type": "issuetype", "createddate": "created",
    "updateddate": "updated", "resolved": "resolutiondate", "due": "duedate", "component": "components",
    "fixversion": "fixversions", "level": "security", "story points": "cf[10016]",
}  # fmt: skip


@dataclass(slots=True)
class JqlSearch:
    """A compiled query. Its issues lie in `projects` and in [lower, upper) of `updated`, and pass `test`."""

    projects: list[int]
    lower: int = 0
    upper: int = FOREVER_MS
    ids: list[int] | None = None
    test: Predicate | None = None
    order: tuple[tuple[str, bool], ...] = ()
    bounded: bool = False
    relative: bool = False
    warnings: list[str] = field(default_factory=list)


class JqlCompiler(PredicateCompiler[Issue, JqlSearch]):
    """Compiles queries for one account: in its profile zone, over what it may see."""

    def __init__(self, store: IssueStore, *, cloud: bool) -> None:
        self.store = store
        self.operands = JqlOperands(store, cloud=cloud)

    def compile(self, text: str) -> JqlSearch:
        self.operands.relative = False
        query: Query = parse(text, JQL)
        search = JqlSearch([p.index for p in self.store.configuration.projects])
        search.bounded = query.where is not None
        search.test = self.compile_where(search, query.where)
        if len(query.order) > 7:
            raise QueryError("The number of fields in the ORDER BY clause exceeds the maximum of 7.")
        search.order = tuple((self._order_field(name), down) for name, down in query.order)
        search.relative = self.operands.relative
        return search

    def _order_field(self, name: str) -> str:
        lowered = name.lower()
        known = _ALIASES.get(lowered, lowered)
        if known not in ORDER_KEYS:
            raise QueryError(f"Not able to sort using field '{name}'." if self._exists(known) else self._unknown(name))
        return known

    def _exists(self, name: str) -> bool:
        return any(
            name in (c.lower() for c in f.clause_names) or name == f.id.lower() for f in self.store.configuration.fields
        )

    @staticmethod
    def _unknown(name: str) -> str:
        return f"Field '{name}' does not exist or you do not have permission to view it."

    def _narrow(self, search: JqlSearch, clause: Clause) -> bool:
        name = _ALIASES.get(clause.field.lower(), clause.field.lower())
        if (
            name == "project"
            and clause.operator in ("=", "in")
            and not any(isinstance(o, Empty) for o in clause.operands)
        ):
            wanted = self.operands.projects(clause)
            search.projects = [p for p in search.projects if p in wanted]
            return True
        if name == "updated" and clause.operator in ("<", "<=", ">", ">=", "="):
            instant = self.operands.instant(clause, clause.operands[0])
            match clause.operator:
                case ">=" | ">":
                    search.lower = max(search.lower, instant + (clause.operator == ">"))
                case "<=" | "<":
                    search.upper = min(search.upper, instant + (clause.operator == "<="))
                case _:
                    search.lower, search.upper = max(search.lower, instant), min(search.upper, instant + 1)
            return True
        if name == "issuekey" and clause.operator in ("=", "in") and search.ids is None:
            search.ids = sorted(self.operands.issues(clause))
            return True
        return False

    def _clause(self, clause: Clause) -> Predicate:
        name = clause.field.lower()
        name = _ALIASES.get(name, name)
        makers: dict[str, Callable[[Clause], Predicate]] = {
            "project": lambda c: choice(c, self.operands.projects(c), lambda i: i.project, -1),
            "issuekey": self._key,
            "status": lambda c: choice(
                c, self.operands.named(c, self.store.configuration.statuses), lambda i: i.status, -1
            ),
            "statuscategory": self._category,
            "issuetype": lambda c: choice(
                c, self.operands.named(c, self.store.configuration.types), lambda i: i.type, -1
            ),
            "priority": lambda c: choice(
                c, self.operands.named(c, self.store.configuration.priorities), lambda i: i.priority, -1
            ),
            "resolution": lambda c: choice(c, self.operands.resolutions(c), lambda i: i.resolution, -1),
            "security": lambda c: choice(
                c, self.operands.named(c, self.store.configuration.security), lambda i: i.security, -1
            ),
            "assignee": lambda c: choice(c, self.operands.people(c), lambda i: i.assignee, -1),
            "reporter": lambda c: choice(c, self.operands.people(c), lambda i: i.reporter, -1),
            "creator": lambda c: choice(c, self.operands.people(c), lambda i: i.creator, -1),
            "updated": lambda c: self._date(c, lambda i: i.updated),
            "created": lambda c: self._date(c, lambda i: i.created),
            "resolutiondate": lambda c: self._date(c, lambda i: i.resolved),
            "duedate": lambda c: self._date(c, lambda i: i.due),
            "labels": self._labels,
            "components": lambda c: self._members(c, lambda i: i.components, "components"),
            "fixversions": lambda c: self._members(c, lambda i: i.fix_versions, "versions"),
            "summary": lambda c: self._words(c, self.store.content.summary),
            "description": lambda c: self._words(c, self._description),
            "comment": lambda c: self._words(c, self._comments),
            "text": lambda c: self._words(
                c, lambda i: f"{self.store.content.summary(i)} {self._description(i)} {self._comments(i)}"
            ),
            "parent": self._parent,
            "cf[10016]": lambda c: self._number(c, lambda i: i.points),
            "cf[10020]": self._severity,
        }
        maker = makers.get(name)
        if maker is None:
            if self._exists(name):
                raise QueryError(f"The simulator does not search by the field '{clause.field}'.")
            raise QueryError(self._unknown(clause.field))
        return maker(clause)

    def _history(self, node: History) -> Predicate:
        name = _ALIASES.get(node.field.lower(), node.field.lower())
        field_id = jql_history.FIELDS.get(name)
        if field_id is None:
            raise QueryError(
                f"History searches do not support the '{node.field}' field."
                if self._exists(name)
                else self._unknown(node.field)
            )
        current, ids = self._current_values(name)

        def values(operands: tuple[Operand, ...]) -> jql_history.Values:
            clause = Clause(node.field, "in", operands)
            empty: jql_history.Values = {None} if any(isinstance(o, Empty) for o in operands) else set()
            return empty | ids(clause)

        def instant(operand: Operand) -> int:
            return self.operands.instant(Clause(node.field, "=", (operand,)), operand)

        def authors(operands: tuple[Operand, ...]) -> frozenset[int]:
            return frozenset(self.operands.people(Clause(node.field, "in", operands)))

        window = jql_history.window_of(node, instant, values, authors)
        content = self.store.content
        if node.operator == "changed":
            return lambda i: jql_history.changed(window, jql_history.spells(content, i, field_id, current(i)))
        wanted, is_negated = values(node.operands), node.operator.startswith("was not")

        def test(issue: Issue) -> bool:
            found = jql_history.spells(content, issue, field_id, current(issue))
            return jql_history.was(window, wanted, found) is not is_negated

        return test

    def _current_values(
        self, name: str
    ) -> tuple[Callable[[Issue], str | None], Callable[[Clause], jql_history.Values]]:
        """Of a field with a history: the id of an issue's value, and the ids of the values that a clause names."""
        configuration, content = self.store.configuration, self.store.content
        if name in ("assignee", "reporter"):
            return (
                lambda i: content.named(getattr(i, name))[0],
                lambda c: {content.named(n)[0] for n in self.operands.people(c)},
            )
        if name == "fixversions":
            raise QueryError("The simulator has no history of versions.")
        lists: dict[str, list[Any]] = {"status": [*configuration.statuses], "priority": [*configuration.priorities]}
        choices = lists.get(name, [*configuration.resolutions])
        return (
            lambda i: choices[n].id if (n := getattr(i, name)) >= 0 else None,
            lambda c: {choices[n].id for n in self.operands.named(c, choices)},
        )

    def _date(self, clause: Clause, get: Callable[[Issue], int]) -> Predicate:
        """Instants of 0 are empty."""
        self.operands.allow(clause, ORDERED | EQUAL)
        if clause.operator in ("is", "is not"):
            return (lambda i: not get(i)) if clause.operator == "is" else (lambda i: bool(get(i)))
        values = [self.operands.instant(clause, o) for o in clause.operands if not isinstance(o, Empty)]
        return compare(clause.operator, values, lambda i: get(i) or None)

    def _number(self, clause: Clause, get: Callable[[Issue], float | None]) -> Predicate:
        self.operands.allow(clause, ORDERED | EQUAL)
        if clause.operator in ("is", "is not"):
            return (lambda i: get(i) is None) if clause.operator == "is" else (lambda i: get(i) is not None)
        try:
            values = [float(o.text) for o in clause.operands if isinstance(o, Value)]
        except ValueError:
            raise QueryError(f"Value for field '{clause.field}' is not a valid number.") from None
        return compare(clause.operator, values, get)

    def _key(self, clause: Clause) -> Predicate:
        """An ordered comparison is one of key numbers within the project of the issue that the value names."""
        if clause.operator not in ORDERED:
            return choice(clause, self.operands.issues(clause), lambda i: i.id, -1)
        named = self.operands.issue(clause, clause.operands[0])
        if named is None:
            return lambda i: False
        project, within = named.project, compare(clause.operator, [named.number], lambda i: i.number)
        return lambda i: i.project == project and within(i)

    def _category(self, clause: Clause) -> Predicate:
        words = {"new": 2, "to do": 2, "indeterminate": 4, "in progress": 4, "done": 3, "complete": 3}
        try:
            wanted = {int(t) if t.isdecimal() else words[t.lower()] for t in self.operands.texts(clause)}
        except KeyError as unknown:
            raise QueryError(f"The value {unknown} does not exist for the field 'statusCategory'.") from None
        return choice(clause, wanted, lambda i: self.store.configuration.statuses[i.status].category, -1)

    def _labels(self, clause: Clause) -> Predicate:
        texts = set(self.operands.texts(clause))
        wanted = {n for n, label in enumerate(self.store.configuration.labels) if label in texts}
        return among(clause.operator, wanted, any(isinstance(o, Empty) for o in clause.operands), lambda i: i.labels)

    def _members(self, clause: Clause, get: Callable[[Issue], tuple[int, ...]], kind: str) -> Predicate:
        texts = self.operands.texts(clause)
        pairs = {
            (p.index, n) for p in self.store.configuration.projects for n, c in enumerate(getattr(p, kind))
            if c.id in texts or c.name.lower() in {t.lower() for t in texts}
        }  # fmt: skip
        if texts and not pairs:
            raise QueryError(f"The value '{texts[0]}' does not exist for the field '{clause.field}'.")
        empty = any(isinstance(o, Empty) for o in clause.operands)
        return among(clause.operator, pairs, empty, lambda i: tuple((i.project, n) for n in get(i)))

    def _parent(self, clause: Clause) -> Predicate:
        return choice(clause, self.operands.issues(clause), lambda i: i.parent, 0)

    def _severity(self, clause: Clause) -> Predicate:
        texts = {t.lower() for t in self.operands.texts(clause)}
        return choice(clause, {n for n, s in enumerate(SEVERITIES) if s[1].lower() in texts}, lambda i: i.severity, -1)

    def _description(self, issue: Issue) -> str:
        return wiki(self.store.content.description(issue) or (), cloud=True)

    def _comments(self, issue: Issue) -> str:
        return " ".join(wiki(c.text, cloud=True) for c in self.store.content.comments(issue))

    def _words(self, clause: Clause, get: Callable[[Issue], str]) -> Predicate:
        self.operands.allow(clause, TEXT)
        if clause.operator in ("is", "is not"):
            return (lambda i: not get(i)) if clause.operator == "is" else (lambda i: bool(get(i)))
        operand = clause.operands[0]
        words = operand.text.lower().strip('"').split() if isinstance(operand, Value) else []
        if clause.operator == "~":
            return lambda i: has_words(get(i), words)
        return lambda i: not has_words(get(i), words)
