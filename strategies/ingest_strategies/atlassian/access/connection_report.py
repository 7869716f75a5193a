"""Tests a connection: the login, the deployment, the token's scopes, and what the account may see."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Literal, TypeVar

from ingest_ray.sdk.errors import IngestError, SourceDenied
from ingest_ray.sdk.types import ConnectionReport, Diagnostic
from ingest_strategies.atlassian.access.scope_check import MissingScope, Operations, find_missing_scopes
from ingest_strategies.atlassian.deployment import DeployedApi

A = TypeVar("A", bound=DeployedApi)


def report_connection(
    detected: AbstractContextManager[A],
    inspect: Callable[[A], tuple[int, str]],
    operations: Operations,
    segment: str,
    grant: str,
) -> ConnectionReport:
    """`inspect` gives the number of visible segments, and the version.

    The login is proved before and after the listing: without a login, or where anonymous access is allowed, a site answers 200 with
    what an anonymous user may see.
    """
    try:
        with detected as api:
            missing = list(find_missing_scopes(api.client, operations))
            if any("" in scope.units for scope in missing):
                return ConnectionReport(ok=False, diagnostics=tuple(scope_diagnostics(missing, "error")))
            account = api.client.read_account()
            visible, version = inspect(api)
            api.client.check_account(account.id)
    except IngestError as error:
        fault = Diagnostic(level="error", code=error.code, message=error.message, hint=error.hint)
        return ConnectionReport(ok=False, diagnostics=(fault,))
    success = Diagnostic(
        level="info", code="OK", message=f"{api.deployment}, as '{account.displayName}', {visible} {segment}s"
    )
    none_visible = Diagnostic(
        level="warning", code="E_SOURCE_DENIED", message=f"no {segment} can be seen", hint=f"grant {grant}"
    )
    return ConnectionReport(
        ok=True,
        version=f"{api.deployment} {version}".strip(),
        diagnostics=(
            success,
            *(() if visible else (none_visible,)),
            *scope_diagnostics(missing, "warning"),
        ),
    )


def scope_diagnostics(missing: Sequence[MissingScope], level: Literal["error", "warning"]) -> list[Diagnostic]:
    """One for each set of scopes: the operations and units that need it."""
    found: dict[str, list[MissingScope]] = {}
    for scope in missing:
        found.setdefault(scope.scopes, []).append(scope)
    diagnostics = []
    for scopes, needed_by in found.items():
        units = dict.fromkeys(unit or "every unit" for scope in needed_by for unit in scope.units)
        operations = ", ".join(scope.operation for scope in needed_by)
        diagnostics.append(
            Diagnostic(
                level=level,
                code=SourceDenied.code,
                message=f"the token lacks the scope {scopes}: {', '.join(units)} cannot be read ({operations})",
                hint="make a token with these scopes, or leave out the units that need them",
            )
        )
    return diagnostics
