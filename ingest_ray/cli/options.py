"""Arguments and options that several commands have."""

from pathlib import Path
from typing import Annotated, Literal

import typer

EndpointArg = Annotated[
    str, typer.Argument(metavar="ENDPOINT", help="Id of the endpoint, such as shop.", show_default=False)
]
UnitArg = Annotated[
    str, typer.Argument(metavar="UNIT", help="Id of the unit, such as public.orders.", show_default=False)
]
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
LogFormat = Annotated[Literal["text", "json"], typer.Option("--log-format", help="How log lines on stderr look.")]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"], typer.Option("--log-level", help="The least that is logged.")
]
