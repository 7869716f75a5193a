"""Unwraps the exceptions of Ray: the one place that knows how errors cross processes."""

import ray


def unwrapped(error: BaseException) -> BaseException:
    """The exception that was raised in the other process, where there was one."""
    if isinstance(error, ray.exceptions.RayTaskError) and error.cause is not None:
        cause: BaseException = error.cause
        return cause
    return error
