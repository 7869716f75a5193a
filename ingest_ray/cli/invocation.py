"""One invocation of a command, and the arguments and options that many commands have."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, Literal, ParamSpec

import typer

from ingest_ray import logs
from ingest_ray.cli.output import Output

if TYPE_CHECKING:
    from ingest_ray.service.installation import Installation

P = ParamSpec("P")

Level = Literal["debug", "info", "warning", "error"]

EndpointArg = Annotated[
    str, typer.Argument(metavar="ENDPOINT", help="Id of the endpoint, such as shop.", show_default=False)
]
UnitArg = Annotated[
    str, typer.Argument(metavar="UNIT", help="Id of the unit, such as public.orders.", show_default=False)
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="ingest.yaml [default: ./ingest.yaml, else what was applied last]",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, and nothing else.")]
LogFormatOption = Annotated[Literal["text", "json"], typer.Option("--log-format", help="How log lines on stderr look.")]
LogLevelOption = Annotated[Level, typer.Option("--log-level", help="The least that is logged.")]


@dataclass
class Invocation:
    """`config_file`: the argument of `--config`."""

    output: Output
    config_file: Path | None

    @cached_property
    def installation(self) -> "Installation":
        """Raises `ConfigError` for a configuration file that is missing or wrong."""
        from ingest_ray.config import load_settings
        from ingest_ray.service.installation import Installation

        return Installation(load_settings(self.config_file))


def shared_options(
    *, json: bool = True, settings: bool = True, config: bool = True, log_level: Level = "warning"
) -> Callable[[Callable[Concatenate[Invocation, P], int | None]], Callable[..., int | None]]:
    """Makes a command of a function: adds the options that many commands have, and passes them as its `Invocation`.

    `json`: `--json`. `settings`: `--config` (not where `config` is False), `--log-format` and `--log-level`, whose default is `log_level`.
    The function returns the exit code; None is 0.
    """
    options = _options_of(json, settings, settings and config, log_level)

    def decorate(function: Callable[Concatenate[Invocation, P], int | None]) -> Callable[..., int | None]:
        own = list(inspect.signature(function).parameters.values())[1:]

        @wraps(function)
        def command(**values: Any) -> int | None:
            shared = {option.name: values.pop(option.name) for option in options}
            if settings:
                logs.configure("json" if shared["log_format"] == "json" else "text", shared["log_level"])
            return function(Invocation(shared["context"].obj, shared.get("config")), **values)  # type: ignore[call-arg]

        parameters = [part.replace(kind=inspect.Parameter.KEYWORD_ONLY) for part in (*own, *options)]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {part.name: part.annotation for part in parameters}
        return command

    return decorate


def _options_of(json: bool, settings: bool, config: bool, log_level: Level) -> list[inspect.Parameter]:
    def option(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

    return [
        option("context", typer.Context),
        *([option("config", ConfigOption, None)] if config else []),
        *([option("as_json", JsonOption, False)] if json else []),
        *([option("log_format", LogFormatOption, "text")] if settings else []),
        *([option("log_level", LogLevelOption, log_level)] if settings else []),
    ]
