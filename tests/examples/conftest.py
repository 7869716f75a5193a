"""The examples, plugged in as an installed package would be."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest_ray.testing.plugins import plugged_in

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True, scope="package")
def _examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with plugged_in(
        tmp_path_factory.mktemp("plugins"), *(path.parent for path in sorted(EXAMPLES.glob("*/pyproject.toml")))
    ):
        yield
