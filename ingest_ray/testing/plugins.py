"""Plugs projects in without installing them: their entry points are read from their `pyproject.toml`."""

import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import invalidate_caches
from pathlib import Path

from ingest_ray import registry


def write_entry_points(folder: Path, name: str, groups: Mapping[str, Mapping[str, str]]) -> None:
    """Writes the metadata of an installed distribution: a folder on `sys.path` that has it offers its entry points."""
    metadata = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [
        line for group, points in groups.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in points.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")


def add_to_path(*folders: Path) -> None:
    """Puts folders first on the path of this process and of those that it starts."""
    added = [*map(str, folders)]
    sys.path[:0] = added
    os.environ["PYTHONPATH"] = os.pathsep.join([*added, *filter(None, [os.environ.get("PYTHONPATH")])])
    _forget()


@contextmanager
def plugged_in(folder: Path, *projects: Path) -> Iterator[None]:
    """Offers the entry points of the projects in this process and in those that it starts. `folder` is empty before."""
    for project in projects:
        document = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        write_entry_points(folder, document["name"], document["entry-points"])
    before_path, before_variable = list(sys.path), os.environ.get("PYTHONPATH")
    add_to_path(folder, *projects)
    try:
        yield
    finally:
        sys.path[:] = before_path
        if before_variable is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before_variable
        _forget()


def _forget() -> None:
    invalidate_caches()
    registry.forget()
