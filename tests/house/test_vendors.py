"""The engine names no vendor: everything specific to a source is in its strategy.

The rule, for names and values in the code (docstrings and comments may refer to products):

* no product whose data is read is named in the engine, from the service layer down;
* databases are named where they are targets or hold state: `sinks`, `kv`, `catalog`, `secrets`;
* `sdk/missing_packages.py` is the list of the Python packages of each extra, whose names are those of products;
* surfaces (`cli`, `graphql`, `console`, `temporal`) may name products, because a published contract or an example does. They decide
  nothing. `simulators` and `testing` are for tests.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[2] / "ingest_ray"
OUTSIDE = {"testing", "simulators", "cli", "graphql", "console", "temporal"}
PACKAGES = ENGINE / "sdk" / "missing_packages.py"
PLACES = {"sinks", "kv", "catalog", "secrets"}
PRODUCTS = re.compile(r"jira|confluence|atlassian|\b(jql|cql|adf)\b", re.IGNORECASE)
DATABASES = re.compile(r"postgres|mysql|mariadb|oracle|mssql|sql_?server", re.IGNORECASE)


def names_and_strings(path: Path) -> Iterator[str]:
    """Yields every name and every string of a file's code, without docstrings and comments."""
    tree = ast.parse(path.read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value
        for field in ("id", "attr", "name", "arg", "module"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield value


def files(outside: set[str]) -> list[Path]:
    found = sorted(ENGINE.rglob("*.py"))
    return [
        path
        for path in found
        if path != PACKAGES and path.relative_to(ENGINE).parts[0].removesuffix(".py") not in outside
    ]


@pytest.mark.parametrize(
    ("pattern", "outside"), [(PRODUCTS, OUTSIDE), (DATABASES, OUTSIDE | PLACES)], ids=["products", "databases"]
)
def test_the_engine_names_no_vendor(pattern: re.Pattern[str], outside: set[str]) -> None:
    named = [
        f"{path.relative_to(ENGINE)}: {text[:60]}"
        for path in files(outside)
        for text in names_and_strings(path)
        if pattern.search(text)
    ]
    assert named == []


def test_what_is_said_in_code_is_found_and_what_is_only_read_is_not(tmp_path: Path) -> None:
    file = tmp_path / "sample.py"
    file.write_text('"""About Jira."""\nimport atlassian.x\nbase_url = "https://confluence"  # jql\n')
    found = sorted(text for text in names_and_strings(file) if PRODUCTS.search(text))
    assert found == ["atlassian.x", "https://confluence"]
