"""The scopes of each endpoint, as Atlassian's OpenAPI files have them (`scripts/make_atlassian_scopes.py`)."""

import json
import re
from functools import cache
from pathlib import Path


@cache
def _table() -> dict[str, list[list[str]]]:
    table: dict[str, list[list[str]]] = json.loads((Path(__file__).parent / "scopes.json").read_text())
    return table


@cache
def alternatives_of(template: str) -> list[list[str]]:
    """`GET /rest/api/{api}/issue/{key}` -> the classic scopes, or the granular ones. Empty: any token may call it.

    An endpoint that the files do not have is one that no token with scopes may call, except the media that a redirect leads to.
    """
    pattern = re.sub(r"{[^}]*}", "{}", template.replace("/rest/api/{api}/", "/rest/api/3/"))
    found = _table().get(pattern)
    if found is None:
        return [] if "/media/" in pattern else [["no such scope"]]
    return [] if any(not names for names in found) else found
