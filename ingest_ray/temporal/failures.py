"""Errors as Temporal failures: the published code is the type, and the error decides whether Temporal retries."""

from typing import Any

from temporalio.exceptions import ApplicationError, FailureError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from ingest_ray import logs
from ingest_ray.sdk.errors import IngestError, Recovery
from ingest_ray.sdk.types import RunFault
from ingest_ray.service.launching.ray_job_watch import RETRYABLE_CODES
from ingest_ray.temporal.results import LONGEST_MESSAGE, truncated


def failure(code: str, message: str, hint: str | None, *, is_passing: bool) -> ApplicationError:
    """The hint, where there is one, is the first detail."""
    details = (truncated(logs.scrub(hint), LONGEST_MESSAGE),) if hint else ()
    return ApplicationError(
        truncated(logs.scrub(message), LONGEST_MESSAGE), *details, type=code, non_retryable=not is_passing
    )


def failure_of(error: IngestError) -> ApplicationError:
    is_passing = error.recovery is not Recovery.FAIL and error.recovery is not Recovery.FENCED
    return failure(error.code, error.message, error.hint, is_passing=is_passing)


def failure_of_run(fault: RunFault) -> ApplicationError:
    return failure(fault.code, fault.message, fault.hint, is_passing=fault.code in RETRYABLE_CODES)


class TypedFailures(Interceptor):
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Translating(super().intercept_activity(next))


class _Translating(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await super().execute_activity(input)
        except IngestError as error:
            raise failure_of(error) from None
        except FailureError:
            raise
        except Exception as error:
            raise failure("E_INTERNAL", f"{type(error).__name__}: {error}", None, is_passing=True) from None
