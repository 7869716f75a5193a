"""The documentation agrees with the code: every key with its default, every error code, and examples that can be loaded."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from ingest_ray.config import IngestFile, UnitRule, load_config
from ingest_ray.sdk.types import CdmSettings, Policy
from ingest_ray.settings import (
    AlertSettings,
    OidcSettings,
    RaySettings,
    ReceiverSettings,
    RetentionSettings,
    ScheduleSettings,
    ServeSettings,
    SharedSettings,
    StagingSettings,
    TemporalSettings,
)
from ingest_strategies.confluence.config import ConfluenceConfig

ROOT = Path(__file__).parents[2]
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
ERRORS = (ROOT / "docs" / "errors.md").read_text()
CONTRACT = ROOT / ".." / "shared" / "contracts" / "errors.md"
SECTIONS: dict[str, type[BaseModel]] = {
    "The file": IngestFile,
    "staging": StagingSettings,
    "shared": SharedSettings,
    "ray": RaySettings,
    "temporal": TemporalSettings,
    "serve": ServeSettings,
    "serve.oidc": OidcSettings,
    "serve.schedules": ScheduleSettings,
    "alerts": AlertSettings,
    "alerts.receivers": ReceiverSettings,
    "retention": RetentionSettings,
    "units": UnitRule,
    "cdm": CdmSettings,
    "policy": Policy,
    "http.confluence": ConfluenceConfig,
}


def rows(section: str) -> dict[str, str]:
    """Field -> default, from the section's table."""
    text = CONFIGURATION.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| `?([^|`]*?)`? \|", text, re.MULTILINE))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_documented_with_its_default(section: str) -> None:
    model, documented = SECTIONS[section], rows(section)
    assert list(documented) == list(model.model_fields)
    for name, field in model.model_fields.items():
        assert documented[name] == _spelled(field.get_default(call_default_factory=True), field.is_required()), name


def _spelled(default: Any, is_required: bool) -> str:
    if is_required:
        return "required"
    if isinstance(default, BaseModel):
        return "see below"
    if default is None or default in ((), {}):
        return "none"
    return str(default).lower() if isinstance(default, bool) else str(default)


def test_the_example_is_understood(tmp_path: Path) -> None:
    example = re.search(r"(?:^    .*\n)+", CONFIGURATION, re.MULTILINE)
    assert example is not None
    file = tmp_path / "ingest.yaml"
    file.write_text(textwrap.dedent(example.group()))
    config = load_config(file)
    assert [rule.unit for rule in config.rules] == ["public.*", "public.orders", "public.audit_log"]
    assert config.rules[1].policy == Policy(cursor="updated_at", lookback=600, on_schema_change="freeze")


def test_the_examples_of_the_common_data_model_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIRA_TOKEN", "x")
    monkeypatch.setenv("WAREHOUSE_PASSWORD", "y")
    blocks = re.findall(r"(?:^    .*\n)+", (ROOT / "docs" / "cdm.md").read_text(), re.MULTILINE)
    sites, table = (textwrap.dedent(block) for block in blocks if "mode: cdm" in block)
    file = tmp_path / "ingest.yaml"
    file.write_text(sites)
    assert load_config(file).rules[0].cdm.system == "acme"
    shop = "endpoints: [{id: shop, template: testing.scripted}]\nsinks: [{id: models, template: duckdb, config: {path: x}}]\n"
    file.write_text(shop + table)
    assert list(load_config(file).rules[0].cdm.models) == ["cdm.work.item"]


def codes(text: str) -> set[str]:
    return set(re.findall(r"\bE_[A-Z_]+\b", text))


def test_every_code_that_can_be_raised_is_documented() -> None:
    sources = [path.read_text() for folder in ("ingest_ray", "strategies") for path in (ROOT / folder).rglob("*.py")]
    raised = {code for text in sources for code in re.findall(r'"(E_[A-Z_]+)"', text)}
    assert raised - codes(ERRORS) == set()


def test_codes_beyond_the_published_list_are_named_as_such() -> None:
    if not CONTRACT.exists():
        pytest.skip("the published list of error codes is not beside this checkout")
    published = codes(CONTRACT.read_text())
    before, beyond = ERRORS.split("## Codes beyond")
    assert codes(before) == published
    assert codes(beyond) & published == set()
