"""Where files are: a local folder, or a place in a store, with the options of its client."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Location:
    """`uri`: a path, or a URI, which may have a query: names stand before it. `options` may hold secrets, and are not shown."""

    uri: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def base(self) -> str:
        """Without query and without a slash at the end."""
        return self._parts[0].rstrip("/") or self._parts[0]

    @property
    def query(self) -> str:
        return self._parts[1]

    @property
    def _parts(self) -> tuple[str, str]:
        if "://" not in self.uri:
            return self.uri, ""
        base, _, query = self.uri.partition("?")
        return base, query

    def uri_of(self, name: str) -> str:
        return self.with_base(f"{self.base}/{name}")

    def with_base(self, base: str) -> str:
        return f"{base}?{self.query}" if self.query else base

    def beside(self, suffix: str, name: str = "") -> "Location":
        """The place whose last part has a suffix, or a name below it."""
        return Location(self.with_base(f"{self.base}{suffix}/{name}".rstrip("/")), self.options)

    def at(self, uri: str) -> "Location":
        """Another place that the same options open."""
        return Location(uri, self.options)
