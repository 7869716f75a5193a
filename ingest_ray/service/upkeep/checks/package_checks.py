"""The installed packages: those that the settings need, and those whose version this one was not made for."""

from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from ingest_ray.sdk.missing_packages import EXTRAS
from ingest_ray.service.installation import Installation
from ingest_ray.service.packages import missing_packages
from ingest_ray.service.upkeep.checks.found import Found

USED = frozenset(EXTRAS.values())  # of the tests' own and the documentation's packages, other versions do no harm


def check_packages(installation: Installation) -> Found:
    for error in missing_packages(installation.settings):
        yield "failed", error.message, error.hint
    for text in dict.fromkeys(requires("ingest-ray") or ()):
        needed = Requirement(text)
        try:
            installed = version(needed.name)
        except PackageNotFoundError:
            continue  # of an extra that is not installed
        if needed.marker is not None and not any(needed.marker.evaluate({"extra": extra}) for extra in USED):
            continue
        if not needed.specifier.contains(installed, prereleases=True):
            yield "warning", f"{needed.name} {installed} is installed", f"pip install '{needed.name}{needed.specifier}'"
