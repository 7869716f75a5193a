"""The entry points of the installed packages, read once per process: that reads the metadata of every package, which takes 10 ms or more."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any


def installed_names(group: str) -> tuple[str, ...]:
    return tuple(sorted(_points_by_name(group)))


def installed_points(group: str, name: str) -> Sequence[EntryPoint]:
    """Several packages may have one of the same name; the first is that which Python finds first."""
    return _points_by_name(group).get(name, ())


def forget_installed() -> None:
    for cached in (_all_points, _points_by_name):
        cached.cache_clear()


@cache
def _all_points() -> Any:
    """Python 3.11 and 3.12 have different classes for them; both have `select`."""
    return entry_points()


@cache
def _points_by_name(group: str) -> Mapping[str, Sequence[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = defaultdict(list)
    for point in _all_points().select(group=group):
        found[point.name].append(point)
    return dict(found)
