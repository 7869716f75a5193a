"""Tests a connection: the login, the deployment and what the account may see."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.types import ConnectionReport, Diagnostic
from ingest_strategies.atlassian.deployment import DeployedApi

A = TypeVar("A", bound=DeployedApi)


def report_connection(
    detected: AbstractContextManager[A], inspect: Callable[[A], tuple[int, str]], segment: str, grant: str
) -> ConnectionReport:
    """`inspect` gives the number of visible segments, and the version.

    The login is proved before and after the listing: without a login, or where anonymous access is allowed, a site answers 200 with
    what an anonymous user may see.
    """
    try:
        with detected as api:
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
        diagnostics=(success,) if visible else (success, none_visible),
    )
