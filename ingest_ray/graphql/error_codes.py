"""Errors for clients: a message, a stable code and a hint; of a defect only `internal error`, and the details go to the log."""

import logging
from collections.abc import Iterator

from graphql import ExecutionResult as GraphQLExecutionResult
from graphql import GraphQLError
from strawberry.extensions import SchemaExtension
from strawberry.types import ExecutionResult, StreamExecutionResult

from ingest_ray import logs
from ingest_ray.sdk.errors import IngestError

log = logging.getLogger(__name__)


class CodedErrors(SchemaExtension):
    def on_operation(self) -> Iterator[None]:
        yield
        result = self.execution_context.result
        if isinstance(result, (ExecutionResult, GraphQLExecutionResult)) and result.errors:
            result.errors = [coded(error) for error in result.errors]

    def on_stream_result(self, result: StreamExecutionResult) -> Iterator[None]:
        errors = getattr(result, "errors", None)
        if errors:
            result.errors = [coded(error) for error in errors]  # type: ignore[union-attr]
        yield


def coded(error: GraphQLError) -> GraphQLError:
    cause = error.original_error
    if isinstance(error.extensions, dict) and "code" in error.extensions:
        return error
    if isinstance(cause, IngestError):
        extensions = {"code": cause.code, "hint": logs.scrub(cause.hint) if cause.hint else None}
        if cause.retry_after_s is not None:
            extensions["retryAfterSeconds"] = str(cause.retry_after_s)
        return _new(error, logs.scrub(cause.message or type(cause).__name__), extensions)
    if cause is None or isinstance(cause, GraphQLError):  # the query itself is wrong
        return _new(error, logs.scrub(error.message), {"code": "E_BAD_INPUT"})
    log.error("%s failed: %s", error.path, type(cause).__name__, exc_info=cause)
    return _new(error, "internal error", {"code": "E_INTERNAL"})


def _new(error: GraphQLError, message: str, extensions: dict[str, str | None]) -> GraphQLError:
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        original_error=None,
        extensions={name: value for name, value in extensions.items() if value is not None},
    )
