"""What `token list` shows."""

from typing import Any, TextIO

from ingest_ray.cli.format import moment
from ingest_ray.cli.tables.layout import console_on, table_of


def show_tokens(found: Any, out: TextIO) -> None:
    console = console_on(out)
    if not found.tokens:
        console.print("no token yet: ingest-ray token create --name NAME --role admin")
        return
    table = table_of("id", "name", "role", "made (UTC)", "expires", "revoked")
    for token in found.tokens:
        table.add_row(
            token.token_id,
            token.name,
            token.role,
            moment(token.created_at),
            moment(token.expires_at),
            moment(token.revoked_at),
        )
    console.print(table)
