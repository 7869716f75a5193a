"""The schema only grows: it contains the published contract unchanged."""

import re
from pathlib import Path

from graphql import build_schema
from graphql.utilities import find_breaking_changes

from ingest_ray.graphql.schema import sdl

CONTRACT = Path(__file__).with_name("contract.graphql")


def test_nothing_of_the_contract_is_missing_or_changed() -> None:
    assert find_breaking_changes(build_schema(CONTRACT.read_text()), build_schema(sdl())) == []


def test_a_field_that_vanished_would_be_found() -> None:
    without = re.sub(r'"""[^"]*"""\s+lastRunAt: DateTime\n', "", sdl())
    less = build_schema(without)
    assert [change.description for change in find_breaking_changes(build_schema(CONTRACT.read_text()), less)] == [
        "Field IngestionStatus.lastRunAt was removed."
    ]
