"""YAML with the line of each value; duplicate keys are refused, and variables of the environment replaced."""

from collections.abc import Iterator
from typing import Any

import yaml

from ingest_ray.config.variables import replace_variables
from ingest_ray.sdk.errors import ConfigError

MOST_VALUES = 200_000  # of a document, with every alias written out

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
                _refuse_bomb(node, name)
                self.lines.update(_lines(node, (), name, frozenset()))
                replace_variables(node, loader, name)
            self.value: Any = None if node is None else loader.construct_document(node)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f"{name}:{mark.line + 1}" if mark else name
            hint = 'in braces and brackets a variable is quoted: "${NAME}"' if "${" in text else None
            raise ConfigError(f"{where}: {error.problem or error.context}", hint=hint) from None
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


def _refuse_bomb(root: yaml.Node, name: str) -> None:
    """Aliases of aliases multiply: a few lines can stand for more values than fit into memory. Counts each node once."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()
    pending: list[tuple[yaml.Node, bool]] = [(root, False)]
    while pending:
        node, is_counted = pending.pop()
        inner = (
            [item for part in node.value for item in (part if isinstance(part, tuple) else (part,))]
            if isinstance(node, yaml.CollectionNode)
            else []
        )
        if is_counted:
            open_nodes.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes.get(id(item), 0) for item in inner)
            if sizes[id(node)] > MOST_VALUES:
                line = node.start_mark.line + 1
                raise ConfigError(f"{name}:{line}: with its aliases this stands for more than {MOST_VALUES:,} values")
        elif id(node) in open_nodes:
            raise ConfigError(f"{name}:{node.start_mark.line + 1}: an alias that holds itself")
        elif id(node) not in sizes:
            open_nodes.add(id(node))
            pending.append((node, True))
            pending += [(item, False) for item in inner]


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
