"""Errors as HTTP responses: the status by the error's class, its code in the body."""

from starlette.responses import JSONResponse

from ingest_ray import logs
from ingest_ray.sdk.errors import (
    IngestError,
    PayloadTooLarge,
    RateLimited,
    RoleForbidden,
    StateUnavailable,
    Unauthenticated,
)

_STATUS: tuple[tuple[type[IngestError], int], ...] = (
    (Unauthenticated, 401),
    (RoleForbidden, 403),
    (PayloadTooLarge, 413),
    (RateLimited, 429),
    (StateUnavailable, 503),
)


def refusal(error: IngestError, status: int | None = None) -> JSONResponse:
    """The response has the shape of a GraphQL answer, which other clients can read as well."""
    if status is None:
        status = next((number for kind, number in _STATUS if isinstance(error, kind)), 400)
    extensions = {"code": error.code, "hint": logs.scrub(error.hint) if error.hint else None}
    fault = {
        "message": logs.scrub(error.message),
        "extensions": {name: value for name, value in extensions.items() if value is not None},
    }
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    return JSONResponse({"data": None, "errors": [fault]}, status_code=status, headers=headers)
