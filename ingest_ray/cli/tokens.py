"""`ingest-ray token`: who may use the server; `ingest-ray secrets`: the key that seals secrets."""

from typing import Annotated, Literal

import typer

from ingest_ray.cli import lazy
from ingest_ray.cli.options import ConfigOption, JsonOption, LogFormat, LogLevel
from ingest_ray.cli.output import FINE, frame

token_app = typer.Typer(help="Who may use the server.", no_args_is_help=True, rich_markup_mode=None)
secrets_app = typer.Typer(help="The key that seals secrets.", no_args_is_help=True, rich_markup_mode=None)


@token_app.command("create")
def token_create(
    name: Annotated[str, typer.Option("--name", help="Whose it is; it is in the logs.")],
    role: Annotated[Literal["admin", "viewer"], typer.Option("--role", help="What it may do.")] = "viewer",
    days: Annotated[int | None, typer.Option("--days", min=1, help="Days until it expires [default: never].")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Make a bearer token. It is shown once, and stored as a digest only.

    \b
    Examples:
      ingest-ray token create --name ada --role admin
      ingest-ray token create --name dashboard --role viewer --days 90 --json
    """
    access, service = lazy.service("access.roles"), lazy.service("access.tokens")
    made = service.create_token(lazy.installation(config, log_format, log_level), name, access.Role(role), days)
    frame().give(made, lambda out: print(made.token, file=out))
    return FINE


@token_app.command("revoke")
def token_revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.", show_default=False)],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Revoke a token: it is refused from now on, and sessions that were begun with it end.

    \b
    Examples:
      ingest-ray token revoke 3f9a12cd
    """
    done = lazy.service("access.tokens").revoke_token(lazy.installation(config, log_format, log_level), token_id)
    frame().give(done, lambda out: print(f"revoked token {done.token_id} of {done.name}", file=out))
    return FINE


@token_app.command("list")
def token_list(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """List tokens: whose they are, what they may do, until when.

    \b
    Examples:
      ingest-ray token list
    """
    found = lazy.service("access.tokens").list_tokens(lazy.installation(config, log_format, log_level))
    frame().give(found, lambda out: lazy.shown("tokens").show_tokens(found, out))
    return FINE


@secrets_app.command("rotate")
def secrets_rotate(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Seal all stored secrets with a new key.

    With INGEST_SECRET_KEY, put the new key before the old one first: new,old.

    \b
    Examples:
      ingest-ray secrets rotate
    """
    done = lazy.service("access.key_rotation").rotate_key(lazy.installation(config, log_format, log_level))
    after = "" if done.key_from == "file" else "; the old key can be taken out of INGEST_SECRET_KEY now"
    frame().give(done, lambda out: print(f"sealed {done.sealed} secret(s) with the new key{after}", file=out))
    return FINE
