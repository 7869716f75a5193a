"""Compiles functions to machine code, once per machine.

The code is stored beside the function's file, or in the user's cache where that is not writable; NUMBA_CACHE_DIR names another folder.
Processes that compile at the same time each write a whole file. Where no folder is writable, every process compiles.
"""

import logging
from collections.abc import Callable
from typing import Any

from numba import njit

log = logging.getLogger(__name__)


def compiled(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def compile_now(function: Callable[..., Any]) -> Callable[..., Any]:
        kernel = njit(nogil=True)(function)
        try:
            kernel.enable_caching()
        except RuntimeError as error:  # no folder is writable; a function that cannot be compiled raises another error
            log.warning("%s: compiled for this process only", error)
        kernel.compile(signature)
        kernel.disable_compile()
        result: Callable[..., Any] = kernel
        return result

    return compile_now
