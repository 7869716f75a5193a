"""The type of a path in an endpoint's configuration.

A relative path in `ingest.yaml` is relative to the folder of that file. The loader can make it absolute only where the config model says
which fields are paths: with this type, or with `pathlib.Path`.
"""

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class LocalPathMark:
    """`words`: values that are no paths, such as `system` for the system's certificates."""

    words: tuple[str, ...] = ()


LocalPath = Annotated[str, LocalPathMark()]
"""A file or folder. A value with `://` is a URI and stays as it is."""
