"""`version`: for bug reports."""

import platform
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import TextIO

from ingest_ray import __version__
from ingest_ray.cli.invocation import Invocation, shared_options

LIBRARIES = ("ray", "pyarrow", "deltalake", "duckdb", "temporalio", "sqlalchemy", "pydantic")


@shared_options(settings=False)
def version(invocation: Invocation) -> None:
    """Show the version, and those of Python and of the main libraries.

    \b
    Examples:
      ingest-ray version
      ingest-ray version --json
    """
    found = {
        "ingest_ray": __version__,
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
    }
    libraries = {name: installed for name in LIBRARIES if (installed := _installed(name)) is not None}
    document = {**found, "libraries": libraries}

    def show(out: TextIO) -> None:
        for name, text in {**found, **libraries}.items():
            print(f"{name:12} {text}", file=out)

    invocation.output.write(document, show)


def _installed(name: str) -> str | None:
    try:
        return version_of(name)
    except PackageNotFoundError:
        return None
