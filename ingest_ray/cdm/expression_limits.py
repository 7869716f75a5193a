"""How much an expression may make of one row, decided from its text: no function may turn a few bytes into gigabytes.

DuckDB's `memory_limit` does not count what one call of a function allocates, and a call cannot be interrupted, so both are bounded before:
sizes are constants, factors multiply to at most `MOST_GROWTH`, lambdas are not nested.
"""

import re
from collections.abc import Iterator
from typing import Any

MOST_SIZE = 10_000  # of a length or count in an expression
MOST_GROWTH = 10_000.0  # bytes of the result per byte of the row
MOST_CHARS = 20_000  # of an expression's text

_SIZES: dict[str, tuple[int, ...]] = {
    "repeat": (1,),
    "lpad": (1,),
    "rpad": (1,),
    "list_resize": (1,),
    "array_resize": (1,),
    "bitstring": (1,),
    "bar": (3,),
    "to_base": (2,),
    "range": (0, 1, 2),
    "generate_series": (0, 1, 2),
}
_DOUBLING = ("list_reduce", "array_reduce", "reduce")
_FORMATS = ("format", "printf")
_REPLACING = ("replace", "regexp_replace")
_COLUMN_FACTOR, _COMPUTED_FACTOR = 50.0, 1_000.0  # of a replacement that is no constant


def find_excess(node: Any) -> str | None:
    """The reason why an expression, as DuckDB's parser gives it, could make too much of one row; None where it cannot."""
    for reason in _excesses(node, is_in_lambda=False):
        return reason
    if (growth := _growth(node)) > MOST_GROWTH:
        return (
            f"its replacements could make {growth:,.0f} times as much of a text; at most {MOST_GROWTH:,.0f} is allowed"
        )
    return None


def _excesses(node: Any, *, is_in_lambda: bool) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _excesses(item, is_in_lambda=is_in_lambda)
    if not isinstance(node, dict):
        return
    name = str(node.get("function_name", "")).lower()
    children = _arguments(node)
    if node.get("class") == "FUNCTION":
        yield from _excess_of_call(name, children, is_in_lambda=is_in_lambda)
    if node.get("class") == "LAMBDA":
        if is_in_lambda:
            yield "a lambda inside a lambda could take hours"
        is_in_lambda = True
    for value in node.values():
        yield from _excesses(value, is_in_lambda=is_in_lambda)


def _excess_of_call(name: str, children: list[Any], *, is_in_lambda: bool) -> Iterator[str]:
    if name in _DOUBLING:
        yield f"'{name}' can double a value with every step"
    for position in _SIZES.get(name, ()):
        if position < len(children):
            size = _constant(children[position])
            if not isinstance(size, int) or abs(size) > MOST_SIZE:
                yield f"the size that '{name}' is given must be a number of at most {MOST_SIZE:,}, written as such"
            elif is_in_lambda and size > 100:
                yield f"'{name}' in a lambda is given a size of at most 100"
    if name in _FORMATS and children:
        text = _constant(children[0])
        if (
            not isinstance(text, str)
            or any(int(width) > MOST_SIZE for width in re.findall(r"\d+", text))
            or "*" in text
        ):
            yield f"the first argument of '{name}' must be a text with widths of at most {MOST_SIZE:,}, written as such"
        elif re.search(r"\{[^}]*\{", text):
            yield f"'{name}' cannot take a width from a value"


def _growth(node: Any) -> float:
    """How many times as long as the row a result may be, at most; sums over what a call puts together."""
    if isinstance(node, list):
        return sum(map(_growth, node))
    if not isinstance(node, dict):
        return 0.0
    name = str(node.get("function_name", "")).lower()
    children = _arguments(node)
    if node.get("class") == "COLUMN_REF":
        return 1.0
    if node.get("class") == "FUNCTION" and name in _REPLACING and len(children) >= 3:
        return max(1.0, _growth(children[0])) * _factor(name, children) + _growth(children[3:])
    inner = sum(_growth(value) for value in node.values() if isinstance(value, dict | list))
    if node.get("class") == "FUNCTION" and name == "repeat" and len(children) > 1:
        size = _constant(children[1])
        return max(1.0, _growth(children[0])) * (size if isinstance(size, int) else MOST_SIZE)
    return inner


def _factor(name: str, children: list[Any]) -> float:
    search, replacement = _constant(children[1]), _constant(children[2])
    if not isinstance(replacement, str):
        return _COLUMN_FACTOR if children[2].get("class") == "COLUMN_REF" else _COMPUTED_FACTOR
    if name == "regexp_replace":
        return 1.0 + len(replacement) + replacement.count("\\") * 10
    length = max(1, len(search)) if isinstance(search, str) else 1
    return max(1.0, len(replacement) / length)


def _arguments(node: dict[str, Any]) -> list[Any]:
    """DuckDB before and since 1.5 writes them differently."""
    if isinstance(node.get("arguments"), list):
        return [item.get("expression") if isinstance(item, dict) else item for item in node["arguments"]]
    children = node.get("children")
    return children if isinstance(children, list) else []


def _constant(node: Any) -> int | str | None:
    """The value of a number or text that is written as such; None for everything else."""
    if not isinstance(node, dict) or node.get("class") != "CONSTANT":
        return None
    literal, value = node.get("literal"), node.get("value")
    if isinstance(literal, dict):
        text = str(literal.get("text", ""))
        return int(text) if literal.get("kind") == "INTEGER" and text.isdecimal() else text
    found = value.get("value") if isinstance(value, dict) and not value.get("is_null") else None
    return found if isinstance(found, int | str) else None
