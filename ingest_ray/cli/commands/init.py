"""`init`: writes an `ingest.yaml` from what a source has."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from ingest_ray.cli.address_options import PasswordOption, TablesArg, TargetPasswordOption
from ingest_ray.cli.invocation import Invocation, shared_options
from ingest_ray.sdk.errors import ConfigError

if TYPE_CHECKING:
    from ingest_ray.service.drafting.draft import DraftRequest

SITES = {"jira": "jira.http", "confluence": "http.confluence"}  # what `https://` may lead to

SourceArg = Annotated[
    str | None,
    typer.Argument(
        metavar="SOURCE",
        help="postgresql://user@host/db, mysql://..., sqlite:///file.db, or with --template a URL; asked for at a terminal.",
        show_default=False,
    ),
]
TargetOption = Annotated[
    str | None,
    typer.Option("--to", metavar="TARGET", help="Folder, s3:// URI or database [default: ./lake]", show_default=False),
]
TemplateOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Template of a source that has no address, as jira.http.", show_default=False),
]
FieldsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="A field of the source's configuration.", show_default=False),
]
IdOption = Annotated[
    str | None,
    typer.Option("--id", metavar="ID", help="Id of the source [default: its database's name]", show_default=False),
]
FileOption = Annotated[Path, typer.Option("--file", "--config", "-c", metavar="FILE", help="The file to write.")]


class Answers(NamedTuple):
    source: str | None
    target: str | None
    password: str | None
    template: str | None
    fields: dict[str, object]


@shared_options(config=False)
def init(
    invocation: Invocation,
    source: SourceArg = None,
    tables: TablesArg = None,
    target: TargetOption = None,
    password: PasswordOption = None,
    target_password: TargetPasswordOption = None,
    template: TemplateOption = None,
    options: FieldsOption = None,
    endpoint_id: IdOption = None,
    file: FileOption = Path("ingest.yaml"),
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
    from ingest_ray.service.drafting.file import write_draft

    if file.exists() and not force:
        raise ConfigError(f"'{file}' exists", hint="--force replaces it; --file NAME writes another one")
    given = Answers(source, target, password, template, _fields(options or []))
    if source is None and template is None and not invocation.output.is_json and sys.stdin.isatty():
        given = _ask(given)
    written = write_draft(_request(given, endpoint_id, tables or [], target_password), file)
    invocation.output.write(written, lambda out: show_draft(written, out))


def _request(given: Answers, endpoint_id: str | None, tables: list[str], target_password: str | None) -> "DraftRequest":
    from ingest_ray.service.drafting.draft import DraftRequest

    if given.template is None and given.source is not None and given.source.startswith(("http:", "https:")):
        raise ConfigError(
            f"'{given.source}' is the address of a site: say of which kind",
            hint=" or ".join(f"--template {name}" for name in SITES.values()),
        )
    return DraftRequest(
        source=given.source,
        template=given.template,
        options=given.fields,
        endpoint_id=endpoint_id,
        target=given.target or "./lake",
        tables=tuple(tables),
        password=given.password,
        target_password=target_password,
    )


def _ask(given: Answers) -> Answers:
    source = typer.prompt(
        "Source (postgresql://user@host/db, mysql://..., sqlite:///file.db, or https://... of Jira or Confluence)",
        err=True,
    )
    target = given.target or typer.prompt(
        "Target (a folder, s3://bucket/lake, duckdb:///x.duckdb, ...)", "./lake", err=True
    )
    if source.startswith(("http:", "https:")):
        return _ask_about_site(given._replace(source=source, target=target))
    password = given.password
    if password is None and not source.startswith(("sqlite:", "duckdb:")) and "://" in source:
        text = "Password of the source: env:NAME, or nothing where it needs none"
        password = typer.prompt(text, "", show_default=False, err=True) or None
    return given._replace(source=source, target=target, password=password)


def _ask_about_site(given: Answers) -> Answers:
    kind = ""
    while kind not in SITES:
        kind = typer.prompt("Is it jira or confluence?", err=True).strip().lower()
    user = typer.prompt("E-mail address or name of the user; nothing for a personal access token", "", err=True)
    token = typer.prompt("Its token: env:NAME", err=True)
    fields = {"username": user, "api_token": token} if user else {"auth_type": "pat", "api_token": token}
    return given._replace(template=SITES[kind], fields={**fields, **given.fields})


def _fields(options: list[str]) -> dict[str, object]:
    import yaml

    found: dict[str, object] = {}
    for option in options:
        name, is_there, value = option.partition("=")
        if not is_there:
            raise ConfigError(f"--set: '{option}' is not FIELD=VALUE")
        found[name.strip()] = value if value.startswith("env:") else yaml.safe_load(value)
    return found
