"""`copy`: from one address to another, without a configuration file."""

from pathlib import Path
from typing import Annotated

import typer

from ingest_ray.cli.address_options import PasswordOption, TablesArg, TargetPasswordOption
from ingest_ray.cli.invocation import Invocation, shared_options

SourceArg = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="postgresql://user@host/db, mysql://..., sqlite:///file.db, mssql://..., oracle://...",
        show_default=False,
    ),
]
TargetOption = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="TARGET",
        help="A folder or s3:// URI (Delta lake), duckdb:///file.duckdb, sqlite:///file.db, postgresql://..., mysql://...",
    ),
]
CursorOption = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="The column that says when a row changed.", show_default=False),
]
KeyOption = Annotated[
    str, typer.Option(metavar="COLUMN[,COLUMN]", help="The key of tables that have it; default: the primary key.")
]
HomeOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Where the project is kept; comes before --config [default: .ingest-ray]",
        show_default=False,
    ),
]
ParallelOption = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, max=64, help="Tables at once; by default one per core.", show_default=False),
]


@shared_options()
def copy(
    invocation: Invocation,
    source: SourceArg,
    tables: TablesArg = None,
    target: TargetOption = "./lake",
    password: PasswordOption = None,
    target_password: TargetPasswordOption = None,
    cursor: CursorOption = None,
    key: KeyOption = "",
    full: Annotated[bool, typer.Option("--full", help="Copy whole tables, replacing what was copied before.")] = False,
    home: HomeOption = None,
    parallel: ParallelOption = None,
) -> int:
    """Copy tables of a database to a lake or another database; the next call copies what has changed.

    A table with a key and a column such as updated_at is copied incrementally, others as a whole; both are said before the
    first row is read. The project is in .ingest-ray: plan, run, status, verify and the other commands work on it. --config: a file
    with settings only, such as staging and limits; a file with endpoints is a project of its own.

    \b
    Examples:
      ingest-ray copy postgresql://app@db/shop --to ./lake --password env:SHOP_PASSWORD
      ingest-ray copy sqlite:///shop.db orders 'cust*' --to duckdb:///shop.duckdb
      ingest-ray copy mysql://app@db/shop --to postgresql://loader@wh/lake --cursor changed_on --json
    """
    from ingest_ray.cli import foreground_run
    from ingest_ray.service.copying.copy import CopyRequest, open_project, prepare_copy

    request = CopyRequest(
        source=source,
        target=target,
        tables=tuple(tables or ()),
        password=password,
        target_password=target_password,
        cursor=cursor,
        key=tuple(part.strip() for part in key.split(",") if part.strip()),
        is_full=full,
    )
    installation = open_project(home, invocation.config_file)
    project = prepare_copy(installation, request)
    return foreground_run.copy(invocation.output, installation, project, parallel)
