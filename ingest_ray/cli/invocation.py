"""One invocation of a command, and the arguments and options that many commands have."""

import inspect
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, Literal, ParamSpec, Self

import typer

from ingest_ray import logs
from ingest_ray.cli.output import Output
from ingest_ray.sdk import tracing

if TYPE_CHECKING:
    from ingest_ray.service.installation import Installation
    from ingest_ray.settings import Settings

P = ParamSpec("P")

Level = Literal["debug", "info", "warning", "error"]

EndpointArg = Annotated[
    str, typer.Argument(metavar="ENDPOINT", help="Id of the endpoint, such as shop.", show_default=False)
]
UnitArg = Annotated[
    str, typer.Argument(metavar="UNIT", help="A unit, such as public.orders, or a pattern.", show_default=False)
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
    command: str = ""
    is_server: bool = False
    """The command waits for work of others: it is no parent of theirs in a trace."""

    def __post_init__(self) -> None:
        self._ending = ExitStack()

    @cached_property
    def installation(self) -> "Installation":
        """Raises `ConfigError` for a configuration file that is missing or wrong."""
        from ingest_ray.config import load_settings
        from ingest_ray.service.installation import Installation

        settings = load_settings(self.config_file)
        self._begin_trace(settings)
        return Installation(settings)

    def _begin_trace(self, settings: "Settings") -> None:
        if settings.telemetry is None:
            return
        from ingest_ray import telemetry

        telemetry.configure(settings)
        self._ending.callback(telemetry.shutdown)
        self._ending.enter_context(tracing.attached(headers_of_environment()))
        if not self.is_server:
            self._ending.enter_context(tracing.span(self.command))

    def __enter__(self) -> Self:
        self._ending.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.__exit__(kind, error, trace)


def headers_of_environment() -> dict[str, str]:
    """The trace of the process that runs the command, such as a CI job: https://opentelemetry.io/docs/specs/otel/context/env-carriers/."""
    names = {"TRACEPARENT": "traceparent", "TRACESTATE": "tracestate"}
    return {header: os.environ[name] for name, header in names.items() if os.environ.get(name)}


def shared_options(
    *,
    json: bool = True,
    settings: bool = True,
    config: bool = True,
    log_level: Level = "warning",
    is_server: bool = False,
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
            context = shared["context"]
            with Invocation(context.obj, shared.get("config"), context.command_path, is_server) as invocation:
                return function(invocation, **values)  # type: ignore[call-arg]

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
