"""Tokens of the server: what `token list` shows."""

from typing import TextIO

from ingest_ray.cli.format import format_time
from ingest_ray.cli.tables.layout import console_on, table_of
from ingest_ray.service.access.tokens import Tokens


def show_tokens(listed: Tokens, out: TextIO) -> None:
    console = console_on(out)
    if not listed.tokens:
        console.print("no token yet: ingest-ray token create --name NAME --role admin")
        return
    table = table_of("id", "name", "role", "endpoints", "made (UTC)", "expires", "revoked")
    for token in listed.tokens:
        table.add_row(
            token.token_id,
            token.name,
            token.role,
            ", ".join(token.endpoints) if token.endpoints is not None else "all",
            format_time(token.created_at),
            format_time(token.expires_at),
            format_time(token.revoked_at),
        )
    console.print(table)
