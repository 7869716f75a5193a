"""Predicates of JQL's operators over one value, or several values, of an issue."""

from collections.abc import Callable
from typing import Any

from ingest_ray.simulators.atlassian.jira.issue import Issue
from ingest_ray.simulators.atlassian.query.grammar import Clause, Empty, QueryError

Predicate = Callable[[Issue], bool]
ORDERED = frozenset(("<", "<=", ">", ">="))
EQUAL = frozenset(("=", "!=", "in", "not in", "is", "is not"))
TEXT = frozenset(("~", "!~", "is", "is not"))


def choice(clause: Clause, wanted: set[int], get: Callable[[Issue], int], empty: int) -> Predicate:
    """Membership; like Jira, != and NOT IN leave out the issues without a value."""
    has_empty = any(isinstance(o, Empty) for o in clause.operands)
    if has_empty:
        wanted = wanted | {empty}
    match clause.operator:
        case "=" | "in" | "is":
            return lambda i: get(i) in wanted
        case "!=" | "not in" | "is not":
            return lambda i: get(i) not in wanted and (get(i) != empty or empty in wanted)
        case _:
            raise QueryError(f"The operator '{clause.operator}' is not supported by the '{clause.field}' field.")


def among(operator: str, wanted: set[Any], has_empty: bool, get: Callable[[Issue], tuple[Any, ...]]) -> Predicate:
    """Membership of one of several values of an issue."""
    match operator:
        case "=" | "in" | "is":
            return lambda i: (has_empty and not get(i)) or any(n in wanted for n in get(i))
        case _:
            return lambda i: bool(get(i)) and not any(n in wanted for n in get(i))


def compare(operator: str, values: list[Any], get: Callable[[Issue], Any]) -> Predicate:
    """None never passes."""
    value = values[0] if values else None
    match operator:
        case "<":
            return lambda i: (x := get(i)) is not None and x < value
        case "<=":
            return lambda i: (x := get(i)) is not None and x <= value
        case ">":
            return lambda i: (x := get(i)) is not None and x > value
        case ">=":
            return lambda i: (x := get(i)) is not None and x >= value
        case "=" | "in":
            return lambda i: get(i) in values
        case _:
            return lambda i: (x := get(i)) is not None and x not in values
