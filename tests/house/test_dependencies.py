"""What is installed with this package: every dependency has an upper bound, or a reason why it has none."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
UNBOUNDED = {
    "pyarrow": "a major version every quarter; what changes is announced a year before",
    "cryptography": "a major version every quarter, which is how its faults are mended",
    "pyopenssl": "follows cryptography",
    "tzdata": "the time zones of the world: a calendar version whenever one changes",
    "certifi": "the authorities that are trusted: a calendar version whenever one changes",
    "oracledb": "its major versions are years",
    "hvac": "an extra for one store of secrets",
    "botocore": "an extra for one store of secrets; new versions only add services",
    "google-cloud-secret-manager": "an extra for one store of secrets",
    "google-auth": "an extra for one store of secrets",
    "requests": "an extra for one store of secrets",
    "azure-identity": "an extra for one store of secrets",
}


def runtime() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    texts = [
        *PROJECT["dependencies"],
        *(text for name in extras if name not in ("test", "dev", "docs", "demo", "all") for text in extras[name]),
    ]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize("needed", runtime(), ids=lambda needed: needed.name)
def test_a_dependency_has_an_upper_bound_that_the_tested_version_keeps(needed: Requirement) -> None:
    operators = {bound.operator for bound in needed.specifier}
    assert operators & {"<", "<=", "==", "~="} or needed.name in UNBOUNDED, "a bound, or a reason in this file"
    try:
        installed = version(needed.name)
    except PackageNotFoundError:
        pytest.skip(f"{needed.name} is not installed")
    assert installed in needed.specifier


def test_the_targets_for_audit_and_bill_of_materials_are_listed() -> None:
    listed = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"audit", "sbom"} <= set(listed)
