"""Every test that the guarantees name exists, and every promise names one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUARANTEES = (ROOT / "docs" / "guarantees.md").read_text()
PROMISED = GUARANTEES.split("\n## What exactly is promised\n")[1].split("\n## ")[0]
PROMISES = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PROMISED.splitlines()
    if line.startswith("| ") and not line.startswith("| promise")
]
NAMED = sorted(set(re.findall(r"`((?:tests|ingest_ray)/[\w/]+\.py)(?:::(\w+))?`", GUARANTEES)))


@pytest.mark.parametrize(("path", "test"), NAMED)
def test_a_named_test_exists(path: str, test: str) -> None:
    content = (ROOT / path).read_text()
    assert not test or re.search(rf"^ *def {test}\(", content, re.MULTILINE), f"{path} has no test '{test}'"


def test_every_promise_has_an_assumption_and_a_test_that_proves_it() -> None:
    assert len(PROMISES) > 20
    for promise, scope, assumption, proof in PROMISES:
        assert scope, promise
        assert assumption, promise
        assert proof.startswith("simulation") or "::" in proof, promise
