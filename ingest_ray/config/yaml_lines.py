"""YAML with the line of each value; duplicate keys are refused."""

from collections.abc import Iterator
from typing import Any

import yaml

from ingest_ray.sdk.errors import ConfigError

Path = tuple[str | int, ...]


class Lines:
    """A document, and the line of every key and item in it (from 1)."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        loader = None
        try:
            loader = _Loader(text)
            node = loader.get_single_node()
            self.lines: dict[Path, int] = {(): 1}
            if node is not None:
                self.lines.update(_lines(node, (), name, frozenset()))
            self.value: Any = None if node is None else loader.construct_document(node)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f"{name}:{mark.line + 1}" if mark else name
            raise ConfigError(f"{where}: {error.problem or error.context}") from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ConfigError(f"{name}: not readable as YAML: {str(error).splitlines()[0]}") from None
        finally:
            if loader is not None:
                loader.dispose()

    def at(self, path: Path) -> str:
        """`ingest.yaml:12`: the line of the path, or of its nearest ancestor."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.name}:{self.lines[path]}"


class _Loader(yaml.SafeLoader):
    """Dates stay text: a config has no use for date objects, and JSON has none."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _lines(node: yaml.Node, path: Path, name: str, above: frozenset[int]) -> Iterator[tuple[Path, int]]:
    if id(node) in above:
        raise ConfigError(f"{name}:{node.start_mark.line + 1}: an alias that holds itself")
    above = above | {id(node)}
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line, text = key.start_mark.line + 1, str(key.value)
            if text in seen and text != "<<":
                raise ConfigError(f"{name}:{line}: duplicate key '{text}', first on line {seen[text]}")
            seen[text] = line
            yield (*path, text), line
            yield from _lines(value, (*path, text), name, above)
    elif isinstance(node, yaml.SequenceNode):
        for n, item in enumerate(node.value):
            yield (*path, n), item.start_mark.line + 1
            yield from _lines(item, (*path, n), name, above)
