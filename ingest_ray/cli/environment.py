"""Variables of the environment that give options: `INGEST_RAY_RUN_PARALLEL` is `--parallel` of `run`.

Options that many commands have, and that mean the same everywhere, have one variable for all: `INGEST_RAY_CONFIG`, `INGEST_RAY_JSON`,
`INGEST_RAY_LOG_FORMAT`, `INGEST_RAY_LOG_LEVEL`. An option of the call comes before its variable; an empty variable counts as none.
`--help`, `--version` and those of shell completion have none. Variables without `RAY`, such as `INGEST_HOME`, are settings, not options.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

PREFIX = "INGEST_RAY"
OF_ALL_COMMANDS = ("config", "json", "log-format", "log-level")
WITHOUT = ("help", "version", "install-completion", "show-completion")
JSON_VARIABLE = f"{PREFIX}_JSON"
_TRUE = ("1", "true", "t", "yes", "y", "on")  # as Typer reads a flag's variable


def options_of(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """Yields path of the command, option, and name of the option, of all commands below this one."""
    for name, below in getattr(command, "commands", {}).items():
        yield from options_of(below, (*path, name))
    for parameter in command.params:
        names = [name.removeprefix("--") for name in parameter.opts if name.startswith("--")]
        if names and names[0] not in WITHOUT:
            yield path, parameter, names[0]


def variable_of(path: tuple[str, ...], option: str) -> str:
    parts = (PREFIX, option) if option in OF_ALL_COMMANDS else (PREFIX, *path, option)
    return "_".join(parts).replace("-", "_").upper()


def name_variables(commands: Any) -> None:
    """Gives each option its variable, which `--help` shows."""
    for path, option, name in options_of(commands):
        option.envvar = variable_of(path, name)
        option.show_envvar = True


def is_true(text: str) -> bool:
    return text.strip().lower() in _TRUE


def asks_for_json(commands: Any, arguments: Sequence[str]) -> bool:
    """Whether the call or the environment asks for JSON. The environment does so for commands with `--json` only, and not for help."""
    if "--json" in arguments:
        return True
    if not is_true(os.environ.get(JSON_VARIABLE, "")) or {"--help", "-h"} & set(arguments):
        return False
    command = commands()
    for argument in arguments:
        command = getattr(command, "commands", {}).get(argument, command)
    return any("--json" in parameter.opts for parameter in command.params)
