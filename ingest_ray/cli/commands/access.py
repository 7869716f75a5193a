"""`token create`, `revoke` and `list`: access to the server; `secrets rotate`: the key that seals secrets."""

from typing import Annotated, Literal

import typer

from ingest_ray.cli.invocation import Invocation, shared_options

token_app = typer.Typer(help="Who may use the server.", no_args_is_help=True, rich_markup_mode=None)
secrets_app = typer.Typer(help="The key that seals secrets.", no_args_is_help=True, rich_markup_mode=None)


@token_app.command("create")
@shared_options()
def token_create(
    invocation: Invocation,
    name: Annotated[str, typer.Option("--name", help="Whose it is; it is in the logs.")],
    role: Annotated[Literal["admin", "operator", "viewer"], typer.Option("--role", help="What it may do.")] = "viewer",
    days: Annotated[int | None, typer.Option("--days", min=1, help="Days until it expires [default: never].")] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option("--endpoint", help="An endpoint or pattern that it is for; may be repeated [default: all]."),
    ] = None,
) -> None:
    """Make a bearer token. It is shown once, and stored as a digest only.

    \b
    Examples:
      ingest-ray token create --name ada --role admin
      ingest-ray token create --name dashboard --role viewer --days 90 --json
      ingest-ray token create --name night-shift --role operator --endpoint shop --endpoint 'crm-*'
    """
    from ingest_ray.service.access.audit import audited, of_command
    from ingest_ray.service.access.roles import Role
    from ingest_ray.service.access.tokens import create_token

    installation, only = invocation.installation, endpoint or None
    with audited(installation, of_command("token create", name=name, role=role, days=days, endpoints=only)):
        created = create_token(installation, name, Role(role), days, only)
    invocation.output.write(created, lambda out: print(created.token, file=out))


@token_app.command("revoke")
@shared_options()
def token_revoke(
    invocation: Invocation,
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.", show_default=False)],
) -> None:
    """Revoke a token: it is refused from now on, and sessions that were begun with it end.

    \b
    Examples:
      ingest-ray token revoke 3f9a12cd
    """
    from ingest_ray.service.access.audit import audited, of_command
    from ingest_ray.service.access.tokens import revoke_token

    with audited(invocation.installation, of_command("token revoke", token=token_id)):
        revoked = revoke_token(invocation.installation, token_id)
    invocation.output.write(revoked, lambda out: print(f"revoked token {revoked.token_id} of {revoked.name}", file=out))


@token_app.command("list")
@shared_options()
def token_list(invocation: Invocation) -> None:
    """List tokens: whose they are, what they may do, until when.

    \b
    Examples:
      ingest-ray token list
    """
    from ingest_ray.cli.tables.tokens import show_tokens
    from ingest_ray.service.access.tokens import list_tokens

    listed = list_tokens(invocation.installation)
    invocation.output.write(listed, lambda out: show_tokens(listed, out))


@secrets_app.command("rotate")
@shared_options()
def secrets_rotate_key(invocation: Invocation) -> None:
    """Seal all stored secrets with a new key.

    With INGEST_SECRET_KEY, put the new key before the old one first: new,old.

    \b
    Examples:
      ingest-ray secrets rotate
    """
    from ingest_ray.service.access.audit import audited, of_command
    from ingest_ray.service.access.key_rotation import rotate_key

    with audited(invocation.installation, of_command("secrets rotate")):
        rotated = rotate_key(invocation.installation)
    after = "" if rotated.key_from == "file" else "; the old key can be taken out of INGEST_SECRET_KEY now"
    invocation.output.write(
        rotated, lambda out: print(f"sealed {rotated.sealed} secret(s) with the new key{after}", file=out)
    )
