"""How a process of ours starts: set before the libraries are imported that look at it."""

import gc
import os

# Python's own thresholds (700, 10, 10) look through all that is imported a dozen times while it is imported: a quarter of the CPU of a
# command's start, which finds nothing.
COLLECTOR_THRESHOLDS = (50_000, 20, 20)
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # NumPy's linear algebra, which is not used here, starts threads in every process (50 ms of CPU)
    # Arrow's own allocator (mimalloc) holds 80 MiB more in a load with two readers, and asks the system for memory twice as long:
    # https://arrow.apache.org/docs/cpp/env_vars.html
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


def tune_process() -> None:
    """What the environment says already is kept."""
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
