"""The scopes of each operation of Atlassian's Cloud APIs that the units call, from Atlassian's OpenAPI files.

`scopes.json` is written by `scripts/make_atlassian_scopes.py`. An operation has alternatives: the classic scopes, or the granular ones.
"""

import json
import re
from functools import cache
from pathlib import Path


@cache
def scope_table() -> dict[str, list[list[str]]]:
    table: dict[str, list[list[str]]] = json.loads((Path(__file__).parent / "scopes.json").read_text())
    return table


@cache
def _patterns() -> dict[tuple[str, int], list[tuple[re.Pattern[str], str]]]:
    """By method and number of slashes. Literal parts first: `search/jql` is no `{}`."""
    patterns: dict[tuple[str, int], list[tuple[re.Pattern[str], str]]] = {}
    for operation in sorted(scope_table(), key=lambda operation: operation.count("{}")):
        pattern = re.compile(re.escape(operation).replace(r"\{\}", r"[^/]+"))
        patterns.setdefault(_shape(operation), []).append((pattern, operation))
    return patterns


def _shape(operation: str) -> tuple[str, int]:
    return operation.partition(" ")[0], operation.count("/")


def find_operation(method: str, path: str) -> str | None:
    """The operation of a request's path; Jira's versions 2 and 3 have the same ones."""
    text = f"{method} {path.replace('/rest/api/2/', '/rest/api/3/', 1)}"
    return next(
        (operation for pattern, operation in _patterns().get(_shape(text), ()) if pattern.fullmatch(text)), None
    )


def scopes_text(operation: str) -> str:
    """`read:jira-work, or read:issue:jira and read:user:jira`."""
    return ", or ".join(" and ".join(names) for names in scope_table().get(operation, ()) if names)


def scope_hint(method: str, path: str) -> str | None:
    operation = find_operation(method, path)
    return f"the token needs {scopes_text(operation)}" if operation else None
