"""`${NAME}` in `ingest.yaml`: the variable of the environment, in any text of the file. `$${NAME}` is the text `${NAME}` itself.

Replaced before the values are typed, so `port: ${PORT}` is a number. A variable that is not set is a fault of its line.
"""

import os
import re

import yaml

from ingest_ray.sdk.errors import ConfigError

VARIABLE = re.compile(r"(\$?)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def replace_variables(root: yaml.Node, loader: yaml.SafeLoader, name: str) -> None:
    """Changes the scalars of a document that are values. Raises `ConfigError` with all variables that are not set, one per line."""
    faults: list[str] = []
    seen: set[int] = set()
    pending: list[yaml.Node] = [root]
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            _replace(node, loader, name, faults)
        elif isinstance(node, yaml.MappingNode):
            pending += [value for _, value in reversed(node.value)]
        elif isinstance(node, yaml.SequenceNode):
            pending += reversed(node.value)
    if faults:
        raise ConfigError("\n".join(faults), hint="set them and run again; $${NAME} is the text ${NAME} itself")


def _replace(node: yaml.ScalarNode, loader: yaml.SafeLoader, name: str, faults: list[str]) -> None:
    def value_of(match: re.Match[str]) -> str:
        if match.group(1):
            return match.group(0)[1:]
        value = os.environ.get(match.group(2))
        if value is None:
            line = node.start_mark.line + 1
            faults.append(f"{name}:{line}: the environment variable '{match.group(2)}' is not set")
        return value or ""

    text = VARIABLE.sub(value_of, node.value)
    if text == node.value:
        return
    node.value = text
    if node.style is None:  # plain: a number stays a number
        node.tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]


def without_variables(text: str) -> str:
    """The text as a file has it that shall be read as this text."""
    return VARIABLE.sub(lambda match: f"${match.group(0)}", text)
