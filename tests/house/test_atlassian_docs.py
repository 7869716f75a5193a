"""The pages of Jira and Confluence agree with the code and with Atlassian's OpenAPI files: options, and scopes of each unit."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from ingest_strategies.atlassian.access.scopes import scope_table
from ingest_strategies.confluence.operations import OPERATIONS as CONFLUENCE
from ingest_strategies.confluence.tables import TABLES as CONFLUENCE_TABLES
from ingest_strategies.jira.config import JiraConfig
from ingest_strategies.jira.operations import OPERATIONS as JIRA
from ingest_strategies.jira.tables import TABLES as JIRA_TABLES
from tests.house.test_docs import _spelled

ROOT = Path(__file__).parents[2]
SPECS = ROOT / ".." / "shared" / "specs"


def scopes_of(operations: tuple[str, ...], granular: bool) -> list[str]:
    """The scopes that are needed together; an operation has classic ones, or granular ones, or one set for both."""
    alternatives = [[names for names in scope_table()[operation] if names] for operation in operations]
    return sorted({name for listed in alternatives if listed for name in listed[-1 if granular else 0]})


@pytest.mark.parametrize(("page", "operations"), [("jira", JIRA), ("confluence", CONFLUENCE)])
def test_the_scopes_of_each_unit_are_documented(page: str, operations: dict[str, tuple[str, ...]]) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text().split("\n## Scopes\n")[1].split("\n## ")[0]
    documented = re.findall(r"^\| (.*?) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)[1:]
    rows = {unit.strip("`"): (classic.split(), granular.split()) for unit, classic, granular in documented}
    names = {unit or "every unit" for unit in operations}
    assert rows.keys() - {"---"} == names
    for unit, called in operations.items():
        expected = tuple(
            [f"`{name}`" for name in scopes_of(called, granular)] or ["none"] for granular in (False, True)
        )
        assert rows[unit or "every unit"] == expected, unit


def test_every_option_of_jira_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "jira.md").read_text().split("\n## jira.http\n")[1].split("\n## ")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]*?)`? \|", text, re.MULTILINE))
    assert list(documented) == list(JiraConfig.model_fields)
    for name, field in JiraConfig.model_fields.items():
        assert documented[name] == _spelled(field.get_default(call_default_factory=True), field.is_required()), name


def test_operations_are_those_of_units() -> None:
    assert set(JIRA) - {"", "filter options"} <= set(JIRA_TABLES)
    assert set(CONFLUENCE) - {""} <= set(CONFLUENCE_TABLES)


def test_the_scopes_are_those_of_the_openapi_files() -> None:
    if not SPECS.exists():
        pytest.skip("Atlassian's OpenAPI files are not beside this checkout")
    spec = importlib.util.spec_from_file_location("scopes", ROOT / "scripts" / "make_atlassian_scopes.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    table = script.scopes(SPECS)
    assert scope_table() == {operation: table[operation] for operation in scope_table()}
    assert json.loads(script.SIMULATORS.read_text()) == table
    assert {
        operation for called in (*JIRA.values(), *CONFLUENCE.values()) for operation in called
    } == scope_table().keys()
