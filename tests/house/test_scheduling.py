"""The groups of tests that share servers are what `tests/scheduling.py` says."""

from pathlib import Path

import pytest

from tests.scheduling import GROUPS, SharedServers, claim

ROOT = Path(__file__).parents[2]


def test_every_group_is_a_folder_or_a_file() -> None:
    assert [group for group in GROUPS if not (ROOT / group).exists()] == []


def test_a_test_belongs_to_the_first_group_that_names_it_or_to_its_file() -> None:
    scheduling = SharedServers.__new__(SharedServers)
    groups = [
        scheduling._split_scope(f"tests/{name}")
        for name in (
            "cluster/test_nodes.py::test_a[x@y::z]",
            "cluster/test_throttle.py::test_b",
            "core/test_a.py::A::b",
        )
    ]
    assert groups == ["tests/cluster/test_nodes.py", "tests/cluster/", "tests/core/test_a.py"]


def test_a_server_that_two_test_processes_start_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw1")
    claim("ray", tmp_path / "gw0")
    with pytest.raises(FileExistsError):
        claim("ray", tmp_path / "gw1")
