"""WAS and CHANGED of JQL: conditions on the values that a field had.

They are for status, assignee, priority, reporter, resolution and fixVersion only, with the predicates AFTER, BEFORE, DURING, ON, BY, FROM and TO.
https://support.atlassian.com/jira-software-cloud/docs/jql-operators/
"""

from collections.abc import Callable
from dataclasses import dataclass

from ingest_ray.simulators.atlassian.content.clock import DAY_MS
from ingest_ray.simulators.atlassian.jira.issue import Issue, IssueContent
from ingest_ray.simulators.atlassian.query.grammar import History, Operand, QueryError
from ingest_ray.simulators.atlassian.query.predicates import FOREVER_MS

FIELDS = {
    "status": "status", "assignee": "assignee", "priority": "priority", "reporter": "reporter", "resolution": "resolution",
    "fixversions": "fixVersions",
}  # fmt: skip
Values = set[str | None]


@dataclass(frozen=True, slots=True)
class Spell:
    """A field had `value` (an id) from `start` until `end`; `author` made it so, -1 the creator of the issue."""

    value: str | None
    start: int
    end: int
    author: int
    before: str | None = None
    is_change: bool = True


def spells(content: IssueContent, issue: Issue, field: str, now: str | None) -> list[Spell]:
    """The values of a field, oldest first; `now` is the id of its current value."""
    changes = [
        (history.created, history.author, item[2], item[4])
        for history in content.histories(issue)
        for item in history.items
        if item[1] == field
    ]
    first = changes[0][2] if changes else now
    starts: list[tuple[int, int, str | None, str | None, bool]] = [(issue.created, issue.creator, None, first, False)]
    starts += [(at, author, old, new, True) for at, author, old, new in changes]
    ends = [*(start[0] for start in starts[1:]), FOREVER_MS]
    return [
        Spell(new, at, end, author, old, is_change)
        for (at, author, old, new, is_change), end in zip(starts, ends, strict=True)
    ]


def value_at(found: list[Spell], at_ms: int) -> str | None:
    return next((spell.value for spell in found if spell.start <= at_ms < spell.end), None)


@dataclass(frozen=True, slots=True)
class Window:
    """What the predicates of one clause allow."""

    start: int = 0
    end: int = FOREVER_MS
    authors: frozenset[int] | None = None
    old: Values | None = None
    new: Values | None = None

    def allows(self, spell: Spell, *, as_change: bool) -> bool:
        if self.authors is not None and spell.author not in self.authors:
            return False
        if as_change:
            return (
                spell.is_change
                and self.start <= spell.start < self.end
                and (self.old is None or spell.before in self.old)
                and (self.new is None or spell.value in self.new)
            )
        return spell.start < self.end and spell.end > self.start


def window_of(
    clause: History,
    instant: Callable[[Operand], int],
    values: Callable[[tuple[Operand, ...]], Values],
    authors: Callable[[tuple[Operand, ...]], frozenset[int]],
) -> Window:
    start, end, who = 0, FOREVER_MS, None
    old: Values | None = None
    new: Values | None = None
    for predicate in clause.predicates:
        match predicate.word:
            case "after":
                start = max(start, instant(predicate.operands[0]))
            case "before":
                end = min(end, instant(predicate.operands[0]))
            case "on":
                day = instant(predicate.operands[0])
                start, end = max(start, day), min(end, day + DAY_MS)
            case "during":
                if len(predicate.operands) != 2:
                    raise QueryError("The predicate 'during' takes a list of two dates.")
                start = max(start, instant(predicate.operands[0]))
                end = min(end, instant(predicate.operands[1]))
            case "by":
                who = authors(predicate.operands)
            case "from" if clause.operator == "changed":
                old = values(predicate.operands)
            case "to" if clause.operator == "changed":
                new = values(predicate.operands)
            case word:
                raise QueryError(f"The predicate '{word}' is not supported by the operator '{clause.operator}'.")
    return Window(start, end, who, old, new)


def was(window: Window, wanted: Values, found: list[Spell]) -> bool:
    return any(spell.value in wanted and window.allows(spell, as_change=False) for spell in found)


def changed(window: Window, found: list[Spell]) -> bool:
    return any(window.allows(spell, as_change=True) for spell in found)
