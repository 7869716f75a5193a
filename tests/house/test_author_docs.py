"""The pages for authors have every method of the contracts, with its parameters, and the examples' entry points."""

import inspect
import re
import tomllib
from pathlib import Path

import pytest

from ingest_ray.cdm import CdmMapper, RowMapper
from ingest_ray.registry.shape import methods_of
from ingest_ray.sdk.contracts import CAPABILITIES, MetadataSource, ModelSink, RowSource, Sink, SinkFamily
from ingest_ray.sdk.simple_source import SimpleSource
from ingest_strategies.jdbc.dialect import Dialect

ROOT = Path(__file__).parents[2]


def section(page: str, heading: str) -> str:
    """The text from a heading that has these words to the next heading of its level or above."""
    text = (ROOT / "docs" / page).read_text()
    found = re.search(rf"^(#+) [^\n]*{re.escape(heading)}.*?(?=^#{{1,3}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{page} has no section '{heading}'"
    return found.group()


def signatures(contract: type) -> set[str]:
    return {f"{name}({', '.join(parameters)})" for name, parameters in methods_of(contract).items()}


def documented(text: str) -> set[str]:
    """What stands in backticks at the beginning of a table's row; of a table of capabilities, in its second column."""
    return set(re.findall(r"^\|(?: `[A-Z]\w+` \|)? `(\w+\([^`]*\))` \|", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("page", "heading", "contract"),
    [
        ("write-a-source.md", "`MetadataSource`", MetadataSource),
        ("write-a-source.md", "`RowSource`", RowSource),
        ("write-a-sink.md", "`SinkFamily`", SinkFamily),
        ("write-a-sink.md", "`Sink`", Sink),
        ("write-a-sink.md", "`ModelSink`", ModelSink),
    ],
)
def test_every_method_of_a_contract_is_in_its_page(page: str, heading: str, contract: type) -> None:
    assert documented(section(page, heading)) == signatures(contract)


def test_every_capability_is_in_the_page_of_sources() -> None:
    text = section("write-a-source.md", "Optional capabilities")
    assert documented(text) == set().union(*(signatures(kind) for kind in CAPABILITIES))
    for kind in CAPABILITIES:
        assert f"| `{kind.__name__}` |" in text


def test_the_methods_of_a_simple_source_are_in_the_page_of_sources() -> None:
    abstract = {name: inspect.signature(getattr(SimpleSource, name)) for name in SimpleSource.__abstractmethods__}
    expected = {f"{name}({', '.join(list(signature.parameters)[1:])})" for name, signature in abstract.items()}
    assert documented(section("write-a-source.md", "30 lines")) == expected


def test_every_member_of_a_mapper_is_in_its_page() -> None:
    members = {name for name in vars(CdmMapper) if not name.startswith("_")}
    text = section("write-a-mapper.md", "`CdmMapper`")
    assert set(re.findall(r"^\| `(\w+)", text, re.MULTILINE)) == members
    text = section("write-a-mapper.md", "`RowMapper`")
    assert set(re.findall(r"^\| `(\w+)", text, re.MULTILINE)) == set(RowMapper.__dataclass_fields__)


def test_every_method_of_a_dialect_is_in_the_page_of_databases() -> None:
    text = (ROOT / "docs" / "add-a-sql-database.md").read_text()
    assert documented(text) == signatures(Dialect)
    for name in Dialect.__annotations__:
        assert f"`{name}`" in text


@pytest.mark.parametrize(
    ("page", "example"),
    [
        ("write-a-source.md", "csv_folder"),
        ("write-a-sink.md", "json_lines_sink"),
        ("write-a-mapper.md", "ticket_mapper"),
    ],
)
def test_the_entry_points_in_the_pages_are_those_of_the_examples(page: str, example: str) -> None:
    groups = tomllib.loads((ROOT / "examples" / example / "pyproject.toml").read_text())["project"]["entry-points"]
    text = (ROOT / "docs" / page).read_text()
    shown = re.findall(r'^ +\[project\.entry-points\."([\w.]+)"\]\n +"([\w.]+)" = "([\w:]+)"$', text, re.MULTILINE)
    assert shown
    for group, name, value in shown:
        assert groups[group][name] == value


def test_no_template_for_tests_is_offered_to_users() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    values = [value for points in groups.values() for value in points.values()]
    assert values
    assert not any(value.startswith("ingest_ray.testing") for value in values)
