"""Unwraps what Ray made of an exception: the one place that knows how errors cross processes."""

import ray


def unwrapped(error: BaseException) -> BaseException:
    """The exception that was raised on the other side, where there was one."""
    if isinstance(error, ray.exceptions.RayTaskError) and error.cause is not None:
        cause: BaseException = error.cause
        return cause
    return error
