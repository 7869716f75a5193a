"""The page of tokens: who may use the server, what they may do, and until when."""

from nicegui import ui

from ingest_ray.catalog.stored_tokens import StoredToken
from ingest_ray.console.elements import (
    button,
    cell,
    cell_with,
    confirm,
    format_time,
    heading,
    note,
    row,
    text_of,
)
from ingest_ray.console.listing import Column, Listing
from ingest_ray.console.page_context import Action, PageContext, show_message
from ingest_ray.service.access.roles import Role
from ingest_ray.service.access.tokens import NewToken, create_token, list_tokens, revoke_token


async def show_tokens(context: PageContext) -> None:
    heading("Tokens", 1)
    if not context.is_admin or context.principal.endpoints is not None:
        note("Only an admin of all endpoints may see them.")
        return
    text_of(
        "A token opens the console and GraphQL. It is shown once, when it is made; only its digest is stored.",
        "p",
        "soft",
    )
    await TokensPage(context).show()


class TokensPage:
    def __init__(self, context: PageContext) -> None:
        self._context = context
        columns: list[Column[StoredToken]] = [
            Column("id", lambda token: token.token_id),
            Column("name", lambda token: token.name),
            Column("role", lambda token: token.role),
            Column("endpoints"),
            Column("made (UTC)", lambda token: token.created_at),
            Column("expires (UTC)", lambda token: token.expires_at),
            Column("revoked (UTC)", lambda token: token.revoked_at),
            Column("actions"),
        ]
        self._listing = Listing(
            "Tokens", "token", columns, lambda token: f"{token.token_id} {token.name} {token.role}", self._show_token
        )

    async def show(self) -> None:
        with ui.element("div").classes("bar"):
            self._listing.search_field()
            button("New token", self.create, is_main=True)
        self._new = ui.element("div").props('role="status"')
        self._listing.make(())
        await self.reload()

    async def reload(self) -> None:
        found = await self._context.call(list_tokens, self._context.installation)
        self._listing.put(reversed(found.tokens) if found is not None else ())

    def _show_token(self, token: StoredToken) -> None:
        with row():
            cell(token.token_id, "mono")
            cell(token.name)
            cell(token.role)
            cell("all" if token.endpoints is None else ", ".join(token.endpoints) or "none")
            cell(format_time(token.created_at))
            cell(format_time(token.expires_at) if token.expires_at else "never")
            cell(format_time(token.revoked_at))
            with cell_with("actions"):
                if token.revoked_at is None:
                    button("Revoke", lambda: self.revoke(token), f"{token.token_id} of {token.name}")

    async def revoke(self, token: StoredToken) -> None:
        consequence = "It is refused from now on, and sessions that began with it end."
        if not await confirm(f"Revoke the token of {token.name}?", consequence, "Revoke"):
            return
        action = Action("token revoke", None, details={"token": token.token_id})
        if await self._context.act(action, revoke_token, self._context.installation, token.token_id) is not None:
            show_message(f"token {token.token_id} is revoked")
            await self.reload()

    async def create(self) -> None:
        with ui.dialog().props('aria-label="New token"') as dialog, ui.card():
            heading("New token")
            name = ui.input("Whose it is").props("outlined dense")
            role = ui.select([role.value for role in Role], value=Role.VIEWER.value, label="Role").props(
                "outlined dense"
            )
            days = ui.number("Days until it expires (empty: never)", min=1, precision=0, format="%d")
            days.props("outlined dense clearable")
            only = ui.input("Endpoints (ids or patterns, with commas; empty: all)").props("outlined dense")
            for field in (name, role, days, only):
                field.style("width: 22rem; max-width: 100%")
            with ui.element("div").classes("bar"):
                button("Make it", lambda: dialog.submit(True), is_main=True)
                button("Cancel", lambda: dialog.submit(False))
        if await dialog:
            patterns = [part.strip() for part in (only.value or "").split(",") if part.strip()] or None
            await self._create(name.value or "", Role(role.value), int(days.value) if days.value else None, patterns)
        dialog.delete()

    async def _create(self, name: str, role: Role, days: int | None, endpoints: list[str] | None) -> None:
        action = Action(
            "token create", None, details={"name": name, "role": role.value, "days": days, "endpoints": endpoints}
        )
        made = await self._context.act(action, create_token, self._context.installation, name, role, days, endpoints)
        if made is not None:
            self._show_new(made)
            await self.reload()

    def _show_new(self, made: NewToken) -> None:
        self._new.clear()
        with self._new:
            text_of(f"The token of {made.stored.name}. It is not shown again:", "p")
            text_of(made.token, "p", "secret")
