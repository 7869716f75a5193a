"""The options of `copy` and `init` that say from where to where."""

from typing import Annotated

import typer

TablesArg = Annotated[
    list[str] | None,
    typer.Argument(metavar="TABLE", help="Names or patterns; all tables by default.", show_default=False),
]
PasswordOption = Annotated[
    str | None,
    typer.Option(metavar="REFERENCE", help="Password of the source, such as env:SHOP_PASSWORD.", show_default=False),
]
TargetPasswordOption = Annotated[
    str | None,
    typer.Option("--to-password", metavar="REFERENCE", help="Password of the target.", show_default=False),
]
