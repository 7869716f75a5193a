"""`init`: writes an `ingest.yaml` from what a source has."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ingest_ray.cli.invocation import Invocation, shared_options
from ingest_ray.sdk.errors import ConfigError


@shared_options(config=False)
def init(
    invocation: Invocation,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="postgresql://user@host/db, mysql://..., sqlite:///file.db, or with --template a URL; asked for at a terminal.",
            show_default=False,
        ),
    ] = None,
    tables: Annotated[
        list[str] | None,
        typer.Argument(metavar="TABLE", help="Names or patterns; all tables by default.", show_default=False),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="TARGET", help="Folder, s3:// URI or database [default: ./lake]", show_default=False
        ),
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(
            metavar="REFERENCE", help="Password of the source, such as env:SHOP_PASSWORD.", show_default=False
        ),
    ] = None,
    target_password: Annotated[
        str | None,
        typer.Option("--to-password", metavar="REFERENCE", help="Password of the target.", show_default=False),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Template of a source that has no address, as jira.http.", show_default=False
        ),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="A field of the source's configuration.", show_default=False),
    ] = None,
    endpoint_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="Id of the source [default: its database's name]", show_default=False),
    ] = None,
    file: Annotated[Path, typer.Option("--file", "--config", "-c", metavar="FILE", help="The file to write.")] = Path(
        "ingest.yaml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace the file where it exists.")] = False,
) -> None:
    """Look at a source, and write an ingest.yaml in which every enabled unit is fit to run.

    Reads metadata and no rows, and registers nothing. A table with a key and a column such as updated_at is read
    incrementally, others as a whole; each line says why. A password in an address is not written: the file refers to a
    variable of the environment.

    \b
    Examples:
      ingest-ray init
      ingest-ray init postgresql://app@db/shop --to ./lake --password env:SHOP_PASSWORD
      ingest-ray init sqlite:///shop.db 'cust*' orders --to duckdb:///shop.duckdb --file shop.yaml
      ingest-ray init https://acme.atlassian.net --template jira.http --set username=me@acme.org --set api_token=env:JIRA_TOKEN
    """
    from ingest_ray.cli.tables.copy import show_draft
    from ingest_ray.service.drafting.draft import DraftRequest
    from ingest_ray.service.drafting.file import write_draft

    if file.exists() and not force:
        raise ConfigError(f"'{file}' exists", hint="--force replaces it; --file NAME writes another one")
    is_asking = source is None and template is None and not invocation.output.is_json and sys.stdin.isatty()
    if is_asking:
        source, target, password = _ask(target, password)
    request = DraftRequest(
        source=source,
        template=template,
        options=_fields(options or []),
        endpoint_id=endpoint_id,
        target=target or "./lake",
        tables=tuple(tables or ()),
        password=password,
        target_password=target_password,
    )
    written = write_draft(request, file)
    invocation.output.write(written, lambda out: show_draft(written, out))


def _ask(target: str | None, password: str | None) -> tuple[str, str, str | None]:
    source = typer.prompt("Source (postgresql://user@host/db, mysql://..., sqlite:///file.db)", err=True)
    target = target or typer.prompt("Target (a folder, s3://bucket/lake, duckdb:///x.duckdb, ...)", "./lake", err=True)
    if password is None and not source.startswith(("sqlite:", "duckdb:")) and "://" in source:
        text = "Password of the source: env:NAME, or nothing where it needs none"
        password = typer.prompt(text, "", show_default=False, err=True) or None
    return source, target, password


def _fields(options: list[str]) -> dict[str, object]:
    import yaml

    found: dict[str, object] = {}
    for option in options:
        name, is_there, value = option.partition("=")
        if not is_there:
            raise ConfigError(f"--set: '{option}' is not FIELD=VALUE")
        found[name.strip()] = value if value.startswith("env:") else yaml.safe_load(value)
    return found
